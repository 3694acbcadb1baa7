#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "cluster/price_book.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

const char* const kSmall = R"(source: a list
date: 2025-07-01
instances:
  - {provider: P, name: two, vcpus: 2, memory_gib: 4, usd_per_hour: 0.3}
  - {provider: P, name: six, vcpus: 6, memory_gib: 4, usd_per_hour: 0.2, market: spot, region: r, source: other, date: now}
  - {provider: P, name: gpu, vcpus: 4, memory_gib: 4, usd_per_hour: 0.1, accelerator: X1, accelerators: 2}
)";

TEST(PriceBook, CompiledInPricesAreThoseOfTheCatalog) {
  const PriceBook book = read_price_book(kCompiledPrices, "prices.yaml");
  struct Row {
    const char *provider, *name, *usd, *region, *accelerator;
    int vcpus, accelerators;
  };
  const Row rows[] = {
      {"AWS", "c7i.large", "0.08925", "us-east-1", "", 2, 0},
      {"AWS", "c7i.xlarge", "0.1785", "us-east-1", "", 4, 0},
      {"AWS", "c7i.12xlarge", "2.142", "us-east-1", "", 48, 0},
      {"AWS", "c7i.16xlarge", "2.856", "us-east-1", "", 64, 0},
      {"AWS", "g5.xlarge", "1.006", "us-east-1", "A10G", 4, 1},
      {"AWS", "p3.2xlarge", "3.06", "us-east-1", "V100", 8, 1},
      {"AWS", "p4d.24xlarge", "21.958", "us-east-1", "A100", 96, 8},
      {"AWS", "p5.48xlarge", "55.04", "us-east-1", "H100", 192, 8},
      {"AWS", "p5en.48xlarge", "63.296", "us-east-1", "H200", 192, 8},
      {"GCP", "c4-highcpu-16", "0.68042", "", "", 16, 0},
      {"GCP", "c4-highcpu-192", "8.16499", "", "", 192, 0},
      {"Lambda", "cpu_4x", "0.2", "", "", 4, 0},
  };
  EXPECT_EQ(book.instances.size(), std::size(rows));
  for (const Row& row : rows) {
    const Instance* instance = book.find(row.name);
    ASSERT_NE(instance, nullptr) << row.name;
    EXPECT_EQ(instance->provider, row.provider);
    EXPECT_EQ(to_decimal(instance->price.usd_per_node_hour), row.usd) << row.name;
    EXPECT_EQ(instance->price.region, row.region);
    EXPECT_EQ(instance->accelerator, row.accelerator);
    EXPECT_EQ(instance->accelerators, row.accelerators);
    EXPECT_EQ(instance->vcpus, row.vcpus);
    EXPECT_EQ(instance->price.market, Market::kOnDemand);
    EXPECT_THAT(instance->price.source, testing::HasSubstr("SkyPilot catalog v8, a snapshot of 2025 without a day"));
    EXPECT_EQ(instance->price.date, "2025");
  }
}

TEST(PriceBook, AnEntryMayHaveItsOwnSourceAndMarket) {
  const PriceBook book = read_price_book(kSmall, "prices.yaml");
  EXPECT_EQ(book.find("two")->price.source, "P two; a list");
  EXPECT_EQ(book.find("six")->price.source, "P six; other");
  EXPECT_EQ(book.find("six")->price.date, "now");
  EXPECT_EQ(book.find("six")->price.market, Market::kSpot);
  EXPECT_EQ(book.find("none"), nullptr);
}

TEST(PriceBook, AssumesTheNearestInstanceWithoutAccelerators) {
  const PriceBook book = read_price_book(kSmall, "prices.yaml");
  EXPECT_EQ(to_decimal(assumed_price(book, 1).usd_per_node_hour), "0.3");
  EXPECT_EQ(to_decimal(assumed_price(book, 3).usd_per_node_hour), "0.3");
  EXPECT_EQ(to_decimal(assumed_price(book, 4).usd_per_node_hour), "0.2") << "a tie goes to the cheaper one";
  EXPECT_EQ(to_decimal(assumed_price(book, 500).usd_per_node_hour), "0.2");
  const Price price = assumed_price(book, 2);
  EXPECT_EQ(price.kind, FigureKind::kAssumed);
  EXPECT_EQ(price.billing, Billing::kSlot);
  EXPECT_THAT(price.source, testing::HasSubstr("nearest to 2 cores"));
  EXPECT_THROW(assumed_price(PriceBook{}, 2), ConfigError);
}

TEST(PriceBook, AssumesAGpusShareOfTheInstanceThatHasIt) {
  const PriceBook book = load_price_book();
  const Price two = assumed_gpu_price(book, "NVIDIA H200", 2);
  EXPECT_EQ(to_decimal(two.usd_per_node_hour), "15.824") << "63.296 for eight";
  EXPECT_EQ(two.kind, FigureKind::kAssumed);
  EXPECT_EQ(two.billing, Billing::kSlot);
  EXPECT_THAT(two.source, testing::HasSubstr("assumed, 2 GPUs by the price of 8 H200: AWS p5en.48xlarge"));
  EXPECT_THAT(assumed_gpu_price(book, "Fake 0", 1).source, testing::HasSubstr("assumed, 1 GPU by the price of 1 A10G"))
      << "the cheapest, where none is known";
  EXPECT_THROW(assumed_gpu_price(PriceBook{}, "NVIDIA H200", 1), ConfigError);
}

TEST(PriceBook, FindingsComeAllAtOnce) {
  const std::string text = std::string(kSmall) +
                           "  - {provider: P, name: two, vcpus: 0, memory_gib: 4, usd_per_hour: 1e3, colour: red}\n"
                           "  - {provider: P, name: odd, vcpus: 1, memory_gib: 4, usd_per_hour: 1, accelerators: 1}\n";
  try {
    read_price_book(text, "prices.yaml");
    FAIL();
  } catch (const ConfigError& error) {
    std::vector<std::pair<int, int>> places;
    for (const auto& finding : error.diagnostics()) places.emplace_back(finding.line, finding.column);
    const std::vector<std::pair<int, int>> expected{{7, 19}, {7, 30}, {7, 55}, {7, 74}, {8, 72}};
    EXPECT_EQ(places, expected) << error.what();
  }
}

TEST(PriceBook, AcceleratorsAreCounted) {
  for (const std::string count : {"", ", accelerators: 0"}) {
    const std::string text = std::string(kSmall) +
                             "  - {provider: P, name: new, vcpus: 1, memory_gib: 4, usd_per_hour: 1, accelerator: X1" +
                             count + "}\n";
    try {
      read_price_book(text, "prices.yaml");
      FAIL() << "a price would be divided by none: " << count;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("instances[3].accelerators"));
    }
  }
}

TEST(PriceBook, TheEnvironmentNamesAnotherFile) {
  const TemporaryFolder folder;
  const auto with = [](const std::string& path) {
    ::setenv("REGATTA_PRICES", path.c_str(), 1);
    const auto unset = [](const void*) { ::unsetenv("REGATTA_PRICES"); };
    const std::unique_ptr<const void, decltype(unset)> guard(&path, unset);
    return load_price_book();
  };
  EXPECT_EQ(with(folder.write("mine.yaml", kSmall)).instances.size(), 3U);
  EXPECT_EQ(load_price_book().instances.size(), 12U);
  EXPECT_THROW(with((folder.path() / "none.yaml").string()), ConfigError);
}

}  // namespace
}  // namespace regatta::test
