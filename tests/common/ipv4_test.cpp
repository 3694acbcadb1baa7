// Networks by their masks, and what is none.
#include "common/ipv4.hpp"

#include <gtest/gtest.h>

namespace regatta {
namespace {

bool holds(const std::string& network, const std::string& address) {
  return parse_ipv4_network(network).value().holds(parse_ipv4_address(address).value());
}

TEST(Ipv4, NetworksHoldWhatTheirMaskSays) {
  EXPECT_TRUE(holds("10.99.0.0/24", "10.99.0.7"));
  EXPECT_TRUE(holds("10.99.0.2/24", "10.99.0.7")) << "a host's own address stands for its network";
  EXPECT_FALSE(holds("10.99.0.0/24", "10.99.1.7"));
  EXPECT_TRUE(holds("0.0.0.0/0", "10.99.1.7"));
  EXPECT_TRUE(holds("10.99.1.6/31", "10.99.1.7"));
  EXPECT_FALSE(holds("10.99.1.6/32", "10.99.1.7"));
  EXPECT_TRUE(holds("128.0.0.0/1", "255.255.255.255"));
}

TEST(Ipv4, NetworksAreSaidWithoutTheHost) {
  EXPECT_EQ(to_text(parse_ipv4_network("10.99.3.2/24").value()), "10.99.3.0/24");
  EXPECT_EQ(to_text(parse_ipv4_network("10.99.3.2/0").value()), "0.0.0.0/0");
  EXPECT_EQ(to_text(parse_ipv4_network("10.99.3.2/32").value()), "10.99.3.2/32");
}

TEST(Ipv4, AnythingElseIsNone) {
  for (const char* text :
       {"", "eth0", "10.99.0.0", "10.99.0.0/", "10.99.0.0/33", "10.99.0.0/-1", "10.99.0.0/2x", "10.99.0.0/99999999999",
        "10.99.0/24", "10.99.0.0 /24", "10.99.0.0/ 24", "/", "/24", "10.99.0.256/24", "::1/64", "10.99.0.0/24/8"})
    EXPECT_FALSE(parse_ipv4_network(text)) << text;
  for (const char* text : {"", "n1", "10.99.0", "10.99.0.256", "10.99.0.1 ", "::1"})
    EXPECT_FALSE(parse_ipv4_address(text)) << text;
}

}  // namespace
}  // namespace regatta
