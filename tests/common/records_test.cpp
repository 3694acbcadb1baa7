// The journal's grammar: what is written is read back, a torn last line is ignored at every byte, strangers are kept.
#include "common/records.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

record::Epoch some_epoch() {
  record::Epoch epoch{.epoch = 1,
                      .first_step = 1,
                      .last_step = 469,
                      .samples = 60'000,
                      .wall_s = 3.5,
                      .train_s = 3.25,
                      .train_loss = 0.25,
                      .test_loss = 0.125,
                      .test_accuracy = 0.96875,
                      .learning_rate = 0.05,
                      .samples_per_s = 18461.5,
                      .step_s = record::StepTimes{.median = 0.0625, .p99 = 0.75},
                      .exchange_hidden_s = 0.0625,
                      .bytes_exchanged = 1LL << 33,
                      .device_memory_peak_bytes = 1LL << 34,
                      .cost = parse_usd("0.000043385")};
  for (std::size_t i = 0; i < kPhases; ++i) epoch.seconds.values[i] = static_cast<double>(i + 1) / 8;
  return epoch;
}

/// One of each type, in the order of a real journal.
std::vector<RecordBody> bodies() {
  record::Start start{.ranks = {{.rank = 0, .local_rank = 0, .host = "n1", .cores = {0, 1}, .pid = 71},
                                {.rank = 1, .local_rank = 0, .host = "n2", .cores = {}, .pid = 72}},
                      .backend = "mpi",
                      .threads = 2,
                      .precision = "fp32",
                      .exchanger = "mpi",
                      .regatta = "0.1.0",
                      .torch = "2.11.0",
                      .mpi = "Open MPI 4.1.4",
                      .parameters = 52'138,
                      .gradient_bytes = 208'552,
                      .buckets = 1,
                      .bucket_plan_hash = "abc",
                      .dataset_key = "def",
                      .kernels = {{{"inputs", 784}, {"outputs", 10}, {"onednn", {"forward"}}}},
                      .lanes = {{"swap_bytes", 65536}},
                      .micro_batch = 32,
                      .startup_s = 0.75,
                      .warnings = {"two ranks on \"one\" core\n"}};
  return {
      start,
      record::FirstStep{.startup_s = 0.875},
      record::Early{.losses = {2.5, kNan, 2.25}, .step_s = {0.5, 0.25, 0.125}},
      record::Shares{.from_epoch = 1, .from_step = 21, .weights = {96, 32}, .seconds_per_sample = {0.25, 0.75}},
      record::Shares{.from_epoch = 2, .weights = {3, 1}},
      record::Heartbeat{.epoch = 1, .step = 100, .loss = kNan, .samples = 12'800, .node_seconds = 1.5},
      some_epoch(),
      record::Stop{.reason = "epochs", .exit_code = 0, .message = "", .epochs = 1, .steps = 469, .node_seconds = 5},
      record::Stop{.reason = "max_cost_usd",
                   .steps = 7,
                   .node_seconds = 5,
                   .cost_decision = record::CostDecision{.limit = NanoUsd{10}, .accrued = NanoUsd{11}},
                   .memory = record::Memory{
                       .peak_bytes = 1, .held_bytes = 2, .blocks_reused = 3, .blocks_made = 4, .returned_bytes = 5}}};
}

JournalLine line_of(RecordBody body, std::int64_t seq) {
  return {.run_id = RunId{"01ARZ3NDEKTSV4RRFFQ69G5FAV"},
          .attempt = 2,
          .seq = seq,
          .at = Timestamp(std::chrono::microseconds(1751371200'000001)),
          .body = std::move(body)};
}

std::string journal_text() {
  std::string text;
  std::int64_t seq = 0;
  for (const auto& body : bodies()) text += to_json(line_of(body, ++seq)).dump() + "\n";
  return text;
}

template <class Call>
void expect_refused(Call call, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "accepted; expected " << words;
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr(words));
  }
}

TEST(Journal, TheStartKeepsWhatAReplayNeeds) {
  auto start = std::get<record::Start>(bodies().front());
  start.staged = {{"folder", "/tmp/stage"}};
  const auto again = std::get<record::Start>(journal_line_from_json(to_json(line_of(start, 1))).body);
  EXPECT_EQ(again.kernels, start.kernels);
  EXPECT_EQ(again.lanes, start.lanes);
  EXPECT_EQ(again.staged, start.staged);
}

TEST(Journal, AnEpochNamesItsStragglersOnlyWhereThereAreAny) {
  record::Epoch epoch = some_epoch();
  EXPECT_FALSE(to_json(line_of(epoch, 1)).contains("stragglers")) << "old readers and old lines are as they were";
  epoch.stragglers = record::Stragglers{.ranks = {2, 3}, .hosts = {"n3"}, .waited_s = 1.5, .cost = NanoUsd{12'345}};
  const Json json = to_json(line_of(epoch, 1));
  EXPECT_EQ(json.at("stragglers").dump(), R"({"ranks":[2,3],"hosts":["n3"],"waited_s":1.5,"cost_usd":"0.000012345"})");
  const auto read = std::get<record::Epoch>(journal_line_from_json(json).body).stragglers;
  ASSERT_TRUE(read);
  EXPECT_EQ(read->ranks, epoch.stragglers->ranks);
  EXPECT_EQ(read->hosts, epoch.stragglers->hosts);
  EXPECT_EQ(read->waited_s, 1.5);
  EXPECT_EQ(read->cost, epoch.stragglers->cost);
  Json none = json;
  none["stragglers"]["ranks"] = Json::array();
  EXPECT_THROW(journal_line_from_json(none), IoError);
}

TEST(Journal, EveryTypeComesBack) {
  const auto lines = parse_journal(journal_text());
  const auto written = bodies();
  ASSERT_EQ(lines.size(), written.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].run_id.value, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    EXPECT_EQ(lines[i].attempt, 2);
    EXPECT_EQ(lines[i].seq, static_cast<std::int64_t>(i + 1));
    EXPECT_EQ(to_text(lines[i].at), "2025-07-01T12:00:00.000001Z");
    EXPECT_EQ(type_of(lines[i].body), type_of(written[i]));
    EXPECT_EQ(to_json(lines[i]), to_json(line_of(written[i], lines[i].seq)));
  }
}

// Against the words of DESIGN's grammar, not against our own writer.
TEST(Journal, AnEpochLineSpelledOut) {
  const Json json = to_json(line_of(some_epoch(), 6));
  EXPECT_EQ(
      json.dump(),
      R"({"schema":1,"run_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","attempt":2,"seq":6,"at":"2025-07-01T12:00:00.000001Z",)"
      R"("type":"epoch","epoch":1,"first_step":1,"last_step":469,"complete":true,"samples":60000,"wall_s":3.5,)"
      R"("train_s":3.25,"train_loss":0.25,"test_loss":0.125,"test_accuracy":0.96875,"learning_rate":0.05,)"
      R"("samples_per_s":18461.5,"step_s":{"median":0.0625,"p99":0.75},"seconds":{"compute":0.125,"data_wait":0.25,"exchange":0.375,"straggler_wait":0.5,)"
      R"("optimizer":0.625,"evaluation":0.75,"checkpoint":0.875,"other":1.0},"seconds_kind":"measured",)"
      R"("exchange_hidden_s":0.0625,"bytes_exchanged":8589934592,"device_memory_peak_bytes":17179869184,"energy_j":null,"cost_usd":"0.000043385"})");
}

TEST(Journal, SharesHoldAWeightARank) {
  Json json = to_json(line_of(record::Shares{.from_epoch = 2, .from_step = 30, .weights = {3, 1}}, 4));
  json.erase("from_step");  // as an older version wrote it
  EXPECT_EQ(std::get<record::Shares>(journal_line_from_json(json).body).from_step, 0);
  json["seconds_per_sample"] = {0.5};
  expect_refused([&] { journal_line_from_json(json); }, "seconds_per_sample: expected one a weight, 2, found 1");
  json["seconds_per_sample"] = {0.5, -1};
  expect_refused([&] { journal_line_from_json(json); }, "seconds_per_sample: expected seconds of at least 0");
  json["seconds_per_sample"] = {0.5, 0};
  EXPECT_NO_THROW(journal_line_from_json(json));
  json["weights"] = {3, -1};
  expect_refused([&] { journal_line_from_json(json); }, "weights: expected weights of at least 0, found -1");
}

TEST(Journal, NonFiniteNumbersAreNull) {
  auto epoch = some_epoch();
  epoch.train_loss = kNan;
  epoch.test_loss = std::numeric_limits<double>::infinity();
  epoch.cost.reset();
  const auto text = to_json(line_of(epoch, 1)).dump() + "\n";
  EXPECT_THAT(text, HasSubstr(R"("train_loss":null,"test_loss":null)"));
  EXPECT_THAT(text, HasSubstr(R"("cost_usd":null)"));
  const auto lines = parse_journal(text);
  EXPECT_TRUE(std::isnan(std::get<record::Epoch>(lines.at(0).body).train_loss));
  EXPECT_FALSE(std::get<record::Epoch>(lines.at(0).body).cost);
}

TEST(Journal, ACutAtEveryByteGivesTheWholeLinesBeforeIt) {
  const std::string text = journal_text();
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const std::string_view part = std::string_view(text).substr(0, cut);
    std::size_t consumed = text.size() + 1;
    const auto lines = parse_journal(part, &consumed);
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(std::count(part.begin(), part.end(), '\n'))) << "cut at " << cut;
    const auto last = part.rfind('\n');
    ASSERT_EQ(consumed, last == std::string_view::npos ? 0 : last + 1) << "cut at " << cut;
    // A follower goes on from there and misses nothing.
    ASSERT_EQ(lines.size() + parse_journal(std::string_view(text).substr(consumed)).size(), bodies().size())
        << "cut at " << cut;
  }
}

TEST(Journal, ADamagedLineIsNamed) {
  const std::string good = to_json(line_of(record::FirstStep{.startup_s = 1}, 1)).dump() + "\n";
  expect_refused([&] { parse_journal(good + "{\"schema\":1,\n" + good); }, "journal line 2");
  expect_refused([&] { parse_journal("\n"); }, "journal line 1");
  try {
    parse_journal(good + "torn\n");
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("journal line 2: not JSON")) << "the line is named once";
  }
}

TEST(Journal, UnknownTypesAreKept) {
  const std::string text =
      R"({"schema":1,"run_id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","attempt":1,"seq":1,"at":"2025-07-01T12:00:00.000000Z",)"
      R"("type":"checkpoint","epoch":3,"file":"c-3"})";
  const auto line = journal_line_from_json(parse_json(text, "test"));
  EXPECT_EQ(type_of(line.body), "checkpoint");
  EXPECT_EQ(std::get<record::Unknown>(line.body).body.dump(), R"({"epoch":3,"file":"c-3"})");
  EXPECT_EQ(to_json(line).dump(), text);
}

TEST(Journal, UnknownKeysAreNoReasonToRefuse) {
  Json json = to_json(line_of(record::FirstStep{.startup_s = 1}, 1));
  json["colour"] = "blue";
  EXPECT_EQ(std::get<record::FirstStep>(journal_line_from_json(json).body).startup_s, 1);
}

TEST(Journal, RefusesWhatItCannotMean) {
  const auto changed = [](const char* key, const Json& value) {
    Json json = to_json(line_of(some_epoch(), 1));
    json[key] = value;
    return json;
  };
  const auto refused = [](const Json& json, const std::string& words) {
    expect_refused([&] { journal_line_from_json(json); }, words);
  };
  refused(changed("schema", 2), "schema 2 is newer than this version reads (1)");
  refused(changed("schema", "1"), "schema");
  refused(changed("attempt", 1.5), "attempt: wrong type");
  refused(changed("at", "yesterday"), "yesterday");
  refused(changed("cost_usd", 0.5), "cost_usd");
  refused(changed("cost_usd", "1e-3"), "1e-3");
  refused(changed("complete", 1), "complete: wrong type");
  refused(changed("seconds", Json::object()), "missing key compute");
  refused(changed("last_step", nullptr), "last_step: wrong type");
  refused(changed("wall_s", 1e300), "wall_s: expected seconds from 0 to 30 years, found 1e+300");
  refused(changed("train_s", -1), "train_s: expected seconds");
  Json first = to_json(line_of(record::FirstStep{.startup_s = 1e300}, 1));
  refused(first, "startup_s: expected seconds");
  Json start = to_json(line_of(bodies().at(0), 1));
  start["startup_s"] = -0.5;
  refused(start, "startup_s: expected seconds");
  start = to_json(line_of(bodies().at(0), 1));
  start["ranks"][0]["cores"] = {0, 1.5};
  refused(start, "cores[1]: wrong type or range: 1.5");
  Json json = to_json(line_of(some_epoch(), 1));
  json.erase("samples");
  refused(json, "missing key samples");
  refused(Json::array({1}), "expected inside an object");
}

}  // namespace
}  // namespace regatta
