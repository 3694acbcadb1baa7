#include "common/ipv4.hpp"

#include <arpa/inet.h>

#include <charconv>

namespace regatta {

std::optional<Ipv4Address> parse_ipv4_address(const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) return {};
  return ntohl(address.s_addr);
}

std::optional<Ipv4Network> parse_ipv4_network(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos) return {};
  const auto address = parse_ipv4_address(text.substr(0, slash));
  int bits = -1;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, bits);
  if (!address || error != std::errc() || stop != end || bits < 0 || bits > 32) return {};
  return Ipv4Network{*address, bits};
}

std::string to_text(const Ipv4Network& network) {
  const in_addr address{htonl(network.address & network.mask())};
  char text[INET_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET, &address, text, sizeof text);
  return std::string(text) + "/" + std::to_string(network.bits);
}

}  // namespace regatta
