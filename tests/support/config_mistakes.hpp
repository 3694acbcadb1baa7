#pragma once
// One good job file, one good cluster file, and what people get wrong in them. The readers' tests and the tests of the
// real binary go through the same tables.

#include <span>
#include <string>

namespace regatta::test {

/// A line of the good file replaced by another, and the one finding that this must give.
struct Mistake {
  const char* name;      ///< of the test
  const char* line;      ///< a line of the good file, whole
  const char* instead;   ///< what stands there now, perhaps several lines
  const char* place;     ///< "5:3"
  const char* path;      ///< "train.batch"; empty for findings about no key
  const char* expected;  ///< in the message or, for words, in the advice
  const char* found;     ///< in the message
  const char* advice;    ///< in the second line
};

std::string good_job();      ///< reads data from ./mnist, runs two configurations on pool `here`
std::string good_cluster();  ///< one pool `here` with two cores and a price

std::span<const Mistake> job_mistakes();  ///< what the reader refuses
std::span<const Mistake> job_later();     ///< what the schema takes and this version refuses
std::span<const Mistake> cluster_mistakes();

/// The good file with the mistake in it. Throws std::logic_error when the line is not there exactly once.
std::string with_mistake(const std::string& good, const Mistake& mistake);

/// Empty when `text` has exactly one finding, in `file`, as the mistake says; else what is wrong with it.
std::string compare_findings(const std::string& text, const std::string& file, const Mistake& mistake);

}  // namespace regatta::test
