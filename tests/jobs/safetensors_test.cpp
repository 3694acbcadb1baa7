#include "jobs/safetensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/files.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using test::TemporaryFolder;
using testing::HasSubstr;

/// A file as the format's README describes it, made without our writer.
std::string container(const std::string& header, const std::string& data) {
  std::string content;
  for (int i = 0; i < 8; ++i) content += static_cast<char>(header.size() >> (8 * i) & 255);
  return content + header + data;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

TEST(Safetensors, ReadsAHandMadeFile) {
  TemporaryFolder folder;
  // 1.0f is 00 00 80 3f; the tensor that is named first lies second.
  const auto path =
      folder.write("w.safetensors", container(R"({"b":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},)"
                                              R"("__metadata__":{"format":"pt"},)"
                                              R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}  )",
                                              std::string("\0\0\x80\x3f\0\0\0\xc0\x07\0\0\0\0\0\0\0", 16)));
  const SafetensorsFile file = read_safetensors(path);
  ASSERT_EQ(file.tensors.size(), 2U);
  EXPECT_EQ(file.tensors[0].name, "a");
  EXPECT_EQ(file.tensors[0].dtype, "F32");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<std::int64_t>{2, 1}));
  float floats[2];
  ASSERT_EQ(file.tensors[0].bytes.size(), sizeof floats);
  std::memcpy(floats, file.tensors[0].bytes.data(), sizeof floats);
  EXPECT_EQ(floats[0], 1.0F);
  EXPECT_EQ(floats[1], -2.0F);
  std::int64_t seven = 0;
  std::memcpy(&seven, file.tensors[1].bytes.data(), sizeof seven);
  EXPECT_EQ(seven, 7);
  EXPECT_EQ(file.metadata.at("format"), "pt");
}

TEST(Safetensors, WritesTheLayoutByteForByte) {
  TemporaryFolder folder;
  const std::vector<double> values{1.5};
  const std::vector<TensorView> tensors{{"w", "F64", {1}, bytes_of(values)}};
  write_safetensors(folder.path() / "w", tensors, {});
  std::string header = R"({"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})";
  while (header.size() % 8 != 0) header += ' ';
  EXPECT_EQ(read_file(folder.path() / "w"), container(header, std::string("\0\0\0\0\0\0\xf8\x3f", 8)));
}

TEST(Safetensors, RoundTrip) {
  TemporaryFolder folder;
  const std::vector<float> matrix{1, -2, 3.5F, 0, 1e-38F, 6};
  const std::vector<double> vector{0.1, 0.2};
  const std::vector<std::int64_t> scalar{-5};
  const std::vector<std::uint16_t> halves{0x3f80, 0xbf80, 1};
  const std::vector<TensorView> tensors{{"0.weight", "F32", {2, 3}, bytes_of(matrix)},
                                        {"0.bias", "BF16", {3}, bytes_of(halves)},
                                        {"steps", "I64", {}, bytes_of(scalar)},
                                        {"empty \"quoted\" \xc3\xa9", "F32", {0, 4}, {}},
                                        {"last", "F64", {2}, bytes_of(vector)}};
  write_safetensors(folder.path() / "w", tensors, {{"run", "01H"}, {"model", "cnn"}});
  const SafetensorsFile file = read_safetensors(folder.path() / "w");
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"run", "01H"}, {"model", "cnn"}}));
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors[i].dtype, tensors[i].dtype);
    EXPECT_EQ(file.tensors[i].shape, tensors[i].shape);
    EXPECT_TRUE(std::ranges::equal(file.tensors[i].bytes, tensors[i].bytes)) << tensors[i].name;
  }
  const std::string content = read_file(folder.path() / "w");
  EXPECT_EQ((8 + static_cast<unsigned char>(content[0]) + 256 * static_cast<unsigned char>(content[1])) % 8, 0);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1) << "no temporary stays";
}

TEST(Safetensors, DisagreementOfOursIsABug) {
  TemporaryFolder folder;
  const std::vector<float> four(4);
  const auto write = [&](const std::vector<TensorView>& tensors) {
    write_safetensors(folder.path() / "w", tensors, {});
  };
  EXPECT_THROW(write({{"w", "F32", {5}, bytes_of(four)}}), std::logic_error);
  EXPECT_THROW(write({{"w", "F32", {4}, bytes_of(four)}, {"w", "F32", {4}, bytes_of(four)}}), std::logic_error);
  EXPECT_THROW(write({{"w", "Q4", {4}, bytes_of(four)}}), std::logic_error);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "w"));
}

TEST(Safetensors, DamageIsSaid) {
  const std::string eight(8, 'x');
  const auto one = [&](const std::string& entry) { return container("{\"w\":" + entry + "}", eight); };
  struct Case {
    std::string name, content, message;
  };
  const std::vector<Case> cases = {
      {"empty", "", "expected 8 bytes of header length, found 0"},
      {"torn length", "\x10\x01", "found 2"},
      {"header beyond the file", container("{}", "").substr(0, 9), "found a length of 2"},
      {"a huge header", std::string(8, '\xff') + "{}", "found a length of 18446744073709551615"},
      {"no JSON", container("{\"w\"", eight), "not JSON"},
      {"a list", container("[]", ""), "expected an object, found array"},
      {"an entry that is none", one("3"), "header: w: dtype: expected inside an object"},
      {"no dtype", one(R"({"shape":[2],"data_offsets":[0,8]})"), "w: missing key dtype"},
      {"unknown dtype", one(R"({"dtype":"F8","shape":[8],"data_offsets":[0,8]})"), "found \"F8\""},
      {"no shape", one(R"({"dtype":"F32","data_offsets":[0,8]})"), "missing key shape"},
      {"a negative size", one(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "found -2"},
      {"a broken size", one(R"({"dtype":"F32","shape":[2.5],"data_offsets":[0,8]})"), "found 2.5"},
      {"sizes that overflow", one(R"({"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]})"),
       "more than 2^64"},
      {"no offsets", one(R"({"dtype":"F32","shape":[2]})"), "missing key data_offsets"},
      {"one offset", one(R"({"dtype":"F32","shape":[2],"data_offsets":[8]})"), "expected [begin, end]"},
      {"end before begin", one(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "found [8,0]"},
      {"outside", one(R"({"dtype":"F32","shape":[4],"data_offsets":[0,16]})"), "within 8 bytes"},
      {"shape and bytes differ", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})"),
       "expected 4 bytes for F32 [1], found 8"},
      {"a hole", one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})"),
       "expected its data at byte 0 of the data, found 4"},
      {"bytes of nobody", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})"),
       "expected 4 bytes of data, found 8"},
      {"overlap",
       container(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
           eight),
       "b: expected its data at byte 8 of the data, found 4"},
      {"metadata that is no text", container(R"({"__metadata__":{"a":1}})", ""), "__metadata__: a: wrong type"},
      {"metadata that is no object", container(R"({"__metadata__":[]})", ""), "__metadata__: expected an object"},
  };
  for (const Case& damage : cases) {
    TemporaryFolder folder;
    const auto path = folder.write("w.safetensors", damage.content);
    try {
      read_safetensors(path);
      ADD_FAILURE() << damage.name << ": accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string() + ": ")) << damage.name;
      EXPECT_THAT(error.what(), HasSubstr(damage.message)) << damage.name;
      EXPECT_THAT(error.what(), HasSubstr("\n  ")) << damage.name << ": no advice";
    }
  }
  EXPECT_THROW(read_safetensors("/nowhere/w.safetensors"), DataError);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::vector<float> values{1, 2, 3};
  const std::vector<TensorView> tensors{{"w", "F32", {3}, bytes_of(values)}};
  TemporaryFolder folder;
  write_safetensors(folder.path() / "w", tensors, {{"a", "b"}});
  const std::string whole = read_file(folder.path() / "w");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(read_safetensors(folder.write("cut", whole.substr(0, size))), DataError) << size;
}

}  // namespace
}  // namespace regatta
