#pragma once
// IPv4 networks as people and `ip addr` write them: "10.99.0.2/24".

#include <cstdint>
#include <optional>
#include <string>

namespace regatta {

using Ipv4Address = std::uint32_t;  ///< in the host's byte order

struct Ipv4Network {
  Ipv4Address address = 0;  ///< as written: also of one host within the network
  int bits = 0;
  Ipv4Address mask() const { return bits == 0 ? 0 : ~Ipv4Address{0} << (32 - bits); }
  bool holds(Ipv4Address other) const { return (other & mask()) == (address & mask()); }
};

/// "10.99.0.2"; nothing for any other text.
std::optional<Ipv4Address> parse_ipv4_address(const std::string& text);
/// "10.99.0.2/24"; nothing for any other text, a name or a bare address among them.
std::optional<Ipv4Network> parse_ipv4_network(const std::string& text);
/// The network without the host: "10.99.0.0/24".
std::string to_text(const Ipv4Network& network);

}  // namespace regatta
