#pragma once
// One lambda a type, for std::visit.

namespace regatta {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;  // clang before 17 deduces none for an aggregate

}  // namespace regatta
