#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "comparison_runs.hpp"

namespace regatta {
namespace {

using test::compare_recipes;
using test::named;
using test::RunRecipe;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

/// one-core at an assumed price; two-ranks contended; broken without price, epoch or accuracy.
Comparison mixed() {
  RunRecipe assumed, contended = named("two-ranks"), broken = named("broken");
  assumed.price->kind = FigureKind::kAssumed;
  assumed.price->source = "AWS c7i.large";
  contended.contended = true;
  contended.ranks = 2;
  broken.price.reset();
  broken.walls.clear();
  broken.status = RunStatus::kFailed;
  return compare_recipes({assumed, contended, broken});
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string line_with(const std::string& text, const std::string& word) {
  for (const auto& line : lines_of(text))
    if (line.find(word) != std::string::npos) return line;
  return "no line with " + word;
}

TEST(RenderJson, HasTheKeysOfTheContract) {
  const Json json = to_json(mixed());
  const Json& row = json.at("configurations").at(0);
  EXPECT_THAT(keys_of(row),
              ElementsAre("configuration", "pool", "backend", "nodes", "ranks", "threads", "precision", "epochs",
                          "repeats", "seconds_per_epoch", "usd_per_epoch", "usd_total", "usd_parts", "samples_per_s",
                          "test_accuracy", "seconds", "energy_j_per_epoch", "energy", "price", "contended", "status",
                          "shares", "slow_ranks", "stragglers", "cpu_ranks", "queue_s", "choice"));
  EXPECT_THAT(keys_of(row.at("seconds_per_epoch")), ElementsAre("mean", "low", "high"));
  EXPECT_THAT(keys_of(row.at("seconds")), ElementsAre("compute", "data_wait", "exchange", "straggler_wait", "optimizer",
                                                      "evaluation", "checkpoint", "other"));
  EXPECT_THAT(keys_of(json.at("verdict")),
              ElementsAre("cheapest", "fastest", "sentence", "confidence", "doubts", "agreement", "break_even"));
  EXPECT_THAT(keys_of(json.at("verdict").at("agreement")),
              ElementsAre("result", "early_loss_rel", "accuracy_se", "detail"));
}

TEST(RenderJson, KeepsExactAmountsAsTextAndEstimatesAsNumbers) {
  const Json row = to_json(mixed()).at("configurations").at(0);
  EXPECT_EQ(row.at("usd_total"), "0.0003625");  // 29 s at 12,500 nano-dollars
  EXPECT_EQ(row.at("price").at("usd_per_node_hour"), "0.09");
  EXPECT_TRUE(row.at("usd_per_epoch").at("mean").is_number());
  NanoUsd sum;
  for (const auto& part : row.at("usd_parts")) sum += *parse_usd(part.get<std::string>());
  EXPECT_EQ(to_decimal(sum), row.at("usd_total"));
}

TEST(RenderJson, BreakEvenIsAPriceAndSoText) {
  RunRecipe cloud = named("cloud");
  cloud.pool = "cloud";
  cloud.price = RunRecipe::stated_price("0.18");
  const Json verdict = to_json(compare_recipes({RunRecipe{}, cloud})).at("verdict");
  EXPECT_EQ(verdict.at("break_even").at("usd_per_node_hour"), "0.0899994");  // costs are rounded to the nano-dollar
  EXPECT_THAT(verdict.at("doubts"), ElementsAre("fewer than three repeats"));
}

TEST(RenderJson, SaysNullForWhatIsNotKnown) {
  const Json json = to_json(mixed());
  const Json& broken = json.at("configurations").at(2);
  for (const char* key :
       {"usd_total", "usd_parts", "samples_per_s", "test_accuracy", "energy_j_per_epoch", "energy", "price", "choice"})
    EXPECT_TRUE(broken.at(key).is_null()) << key;
  EXPECT_TRUE(broken.at("seconds_per_epoch").at("mean").is_null());
  EXPECT_TRUE(json.at("verdict").at("cheapest").is_null());
  EXPECT_TRUE(json.at("verdict").at("break_even").is_null());
}

TEST(RenderCsv, QuotesAsRfc4180Says) {
  RunRecipe awkward = named("say \"two\", please");
  awkward.price->source = "line\nbreak";
  const std::string csv = to_csv(compare_recipes({RunRecipe{}, awkward}));
  EXPECT_THAT(csv, HasSubstr("\r\n\"say \"\"two\"\", please\",here,mpi,1,1,1,fp32,4,1,6.0,6.0,6.0,"));
  EXPECT_THAT(csv, HasSubstr(",\"line\nbreak\","));
  EXPECT_THAT(csv, EndsWith("\r\n"));
}

TEST(RenderCsv, HasAsManyFieldsInEachLine) {
  const std::string csv = to_csv(mixed());
  std::vector<std::ptrdiff_t> commas;
  for (const auto& line : lines_of(csv)) commas.push_back(std::count(line.begin(), line.end(), ','));
  ASSERT_EQ(commas.size(), 4U);
  EXPECT_GT(commas[0], 40);
  for (const auto count : commas) EXPECT_EQ(count, commas[0]);
  EXPECT_THAT(csv,
              StartsWith("configuration,pool,backend,nodes,ranks,threads,precision,epochs,repeats,"
                         "seconds_per_epoch_mean,seconds_per_epoch_low,seconds_per_epoch_high,usd_per_epoch_mean"));
  EXPECT_THAT(lines_of(csv)[0], HasSubstr(",usd_parts_startup,"));
}

TEST(RenderCsv, OfNothingIsEmpty) {
  EXPECT_EQ(to_csv(Comparison{}), "");
}

TEST(RenderMarkdown, EscapesWhatEndsACell) {
  const std::string text = to_markdown(compare_recipes({named("a|b")}));
  EXPECT_THAT(text, HasSubstr("| a\\|b | here | 1 x 1 | 6.00 +- 0.00 |"));
  const auto lines = lines_of(text);
  EXPECT_EQ(std::count(lines[0].begin(), lines[0].end(), '|'), std::count(lines[1].begin(), lines[1].end(), '|'));
}

TEST(Render, NobodysWordsSteerATerminalOrBeginALine) {
  RunRecipe awkward = named("a\x1b[2J\nverdict     mine"), failed = named("broken");
  awkward.pool = "here\x1b[31m";
  awkward.price->kind = FigureKind::kAssumed;
  awkward.price->source = "list\x1b]0;title\x07";
  failed.status = RunStatus::kFailed;
  const Comparison comparison = compare_recipes({awkward, failed});
  for (const std::string& text : {to_table(comparison, false), to_markdown(comparison), to_csv(comparison)}) {
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
    EXPECT_EQ(text.find('\x07'), std::string::npos) << text;
  }
  EXPECT_THAT(to_table(comparison, false), Not(HasSubstr("\nverdict     mine")));
}

TEST(RenderTable, AlignsItsColumns) {
  const auto lines = lines_of(to_table(mixed(), false));
  ASSERT_GE(lines.size(), 4U);
  EXPECT_THAT(lines[0], StartsWith("configuration  pool"));
  // Numbers end where their title ends; words begin where it begins.
  for (const char* title : {"ranks x threads", "s/epoch", "samples/s", "total $", "accuracy"}) {
    const std::size_t end = lines[0].find(title) + std::string(title).size();
    for (std::size_t row = 1; row <= 3; ++row) {
      EXPECT_NE(lines[row][end - 1], ' ') << title << " in " << lines[row];
      EXPECT_EQ(lines[row][end], ' ') << title << " in " << lines[row];
    }
  }
  const std::size_t status = lines[0].find("status");
  EXPECT_EQ(lines[1].substr(status), "done");
  EXPECT_EQ(lines[3].substr(status), "failed");
}

TEST(RenderTable, MarksWhatMustNotBeTakenAtFaceValue) {
  const std::string text = to_table(mixed(), false);
  EXPECT_THAT(line_with(text, "two-ranks"), StartsWith("two-ranks !"));
  EXPECT_THAT(text, HasSubstr("! contended"));
  EXPECT_THAT(line_with(text, "one-core"), HasSubstr("$0.0000750 ~"));
  EXPECT_THAT(text, HasSubstr("~ no price was given: $0.09 per node-hour, AWS c7i.large"));
  EXPECT_THAT(text, HasSubstr("broken failed: rank 0 killed by signal 9"));
}

TEST(RenderTable, SaysWhereTheTimeGoes) {
  const auto lines = lines_of(to_table(mixed(), false));
  const auto header =
      std::find_if(lines.begin(), lines.end(), [](const auto& line) { return line.find("where an epoch goes") == 0; });
  ASSERT_NE(header, lines.end());
  EXPECT_THAT(*header, Not(HasSubstr("checkpoint"))) << "nobody spent time there";
  EXPECT_THAT(*(header + 1), testing::ContainsRegex("one-core +50 % +25 % +25 %"));
}

TEST(RenderTable, HasColourOnlyWhenAsked) {
  EXPECT_THAT(to_table(mixed(), false), Not(HasSubstr("\x1b")));
  EXPECT_THAT(to_table(mixed(), true), HasSubstr("\x1b"));
}

}  // namespace
}  // namespace regatta
