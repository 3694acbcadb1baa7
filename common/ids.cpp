#include "common/ids.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>

#include "common/error.hpp"

namespace regatta {

namespace {
constexpr std::string_view kCrockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t kUlidLength = 26;
}  // namespace

std::string new_ulid() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw IoError("getrandom: " + errno_text(errno));
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  auto stamp = static_cast<std::uint64_t>(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
  for (int i = 5; i >= 0; --i, stamp >>= 8) bytes[static_cast<std::size_t>(i)] = static_cast<unsigned char>(stamp);

  __extension__ unsigned __int128 number = 0;
  for (unsigned char byte : bytes) number = (number << 8) | byte;
  std::string text(kUlidLength, '0');
  for (std::size_t i = kUlidLength; i-- > 0; number >>= 5) text[i] = kCrockford[static_cast<std::size_t>(number & 31)];
  return text;
}

bool is_ulid(std::string_view text) {
  // 26 x 5 = 130 bits, so the first character carries three bits only: '0' to '7'.
  return text.size() == kUlidLength && text[0] <= '7' && text.find_first_not_of(kCrockford) == std::string_view::npos;
}

}  // namespace regatta
