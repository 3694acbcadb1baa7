#include "jobs/linear_kernels.hpp"

#include <gmock/gmock.h>

#include "common/error.hpp"

namespace regatta {
namespace {

TEST(LinearKernels, SurviveJson) {
  const LinearKernels kernels{{784, 1024, false, true, true}, {1024, 10}, {1024, 1024, true, false, false}};
  const Json json = to_json(kernels);
  EXPECT_EQ(json, parse_json(R"([{"inputs": 784, "outputs": 1024, "onednn": ["input_gradient", "weight_gradient"]},
                                 {"inputs": 1024, "outputs": 10, "onednn": []},
                                 {"inputs": 1024, "outputs": 1024, "onednn": ["forward"]}])",
                             "test"));
  EXPECT_EQ(linear_kernels_from_json(json), kernels);
  EXPECT_EQ(linear_kernels_from_json(Json::array()), LinearKernels{});
}

TEST(LinearKernels, RefusesWhatIsNone) {
  const auto message = [](const char* text) -> std::string {
    try {
      linear_kernels_from_json(parse_json(text, "test"));
    } catch (const IoError& error) {
      return error.what();
    }
    return "accepted";
  };
  using testing::HasSubstr;
  EXPECT_THAT(message("{}"), HasSubstr("kernels: expected a list of shapes"));
  EXPECT_THAT(message("[1]"), HasSubstr("inputs"));
  EXPECT_THAT(message(R"([{"inputs": 1, "onednn": []}])"), HasSubstr("missing key outputs"));
  EXPECT_THAT(message(R"([{"inputs": 0, "outputs": 1, "onednn": []}])"), HasSubstr("inputs: expected at least 1"));
  EXPECT_THAT(message(R"([{"inputs": 1, "outputs": 1, "onednn": ["backward"]}])"), HasSubstr("found \"backward\""));
}

TEST(LinearKernels, AShapeThatIsNotListedIsATens) {
  const LinearKernels kernels{{4, 5, true, true, true}};
  EXPECT_EQ(kernel_of(kernels, 4, 5), kernels[0]);
  EXPECT_EQ(kernel_of(kernels, 5, 4), (LinearKernel{5, 4}));
}

}  // namespace
}  // namespace regatta
