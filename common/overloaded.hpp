#pragma once
// One lambda a type, for std::visit.

namespace regatta {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

}  // namespace regatta
