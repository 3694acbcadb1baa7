// Whose slots are taken.

#include "coordinator/slots.hpp"

#include <gmock/gmock.h>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

TEST(Slots, AreTakenOnceAndFreedByTheHolder) {
  const test::TemporaryFolder folder;
  const auto here = folder.path() / "here.lock";
  const SlotHolder holder{4711, "mnist-cnn", "2025-07-01T12:00:00.000000Z"};
  auto first = SlotLock::try_take(here, holder);
  ASSERT_TRUE(first);
  EXPECT_FALSE(SlotLock::try_take(here, {1, "other", "now"}));
  EXPECT_EQ(slot_holder(here), holder);
  EXPECT_TRUE(SlotLock::try_take(folder.path() / "elsewhere.lock", holder));
  EXPECT_EQ(std::filesystem::status(here).permissions(), std::filesystem::perms{0666}) << "another user may take it";
  first.reset();
  EXPECT_TRUE(SlotLock::try_take(here, {1, "other", "now"}));
}

TEST(Slots, SayForWhomOneWaits) {
  EXPECT_EQ(waiting_words("here", SlotHolder{4711, "mnist-cnn", "noon"}),
            "pool here: waiting for job mnist-cnn (pid 4711, since noon); --contended runs beside it");
  EXPECT_THAT(waiting_words("here", {}), HasSubstr("another regatta run"));
  const test::TemporaryFolder folder;
  const auto here = folder.path() / "here.lock";
  EXPECT_EQ(slot_holder(here), std::nullopt);
  folder.write("here.lock", "{ half");
  EXPECT_EQ(slot_holder(here), std::nullopt);
  const auto held = SlotLock::try_take(here, {4711, "a\033[2Jb", "now"});
  EXPECT_EQ(slot_holder(here)->job, "a?[2Jb") << "another user's words do not steer a terminal";
}

TEST(Slots, GuestsNeverWaitAndAreSeen) {
  const test::TemporaryFolder folder;
  const auto here = folder.path() / "here.lock";
  auto timed = SlotLock::try_take(here, {1, "timed", "now"});
  ASSERT_TRUE(timed);
  const auto before = timed->arrivals();
  EXPECT_FALSE(timed->has_guest());
  {
    const SlotLock guest = SlotLock::join(here, {2, "guest", "now"});
    EXPECT_TRUE(timed->has_guest());
    EXPECT_GT(timed->arrivals(), before);
    timed.reset();
    EXPECT_FALSE(SlotLock::try_take(here, {3, "next", "now"})) << "a timed run waits for guests";
    EXPECT_EQ(slot_holder(here)->job, "guest");
  }
  timed = SlotLock::try_take(here, {3, "next", "now"});
  ASSERT_TRUE(timed);
  EXPECT_EQ(timed->arrivals(), 0) << "of its own time only";
}

}  // namespace
}  // namespace regatta
