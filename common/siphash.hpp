#pragma once
// A short tag that only who knows the key can make: SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF,
// 2012), 64 bits. For small messages that a process must not believe from just anybody.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace regatta {

using SipKey = std::array<std::uint64_t, 2>;

std::uint64_t siphash(const SipKey& key, std::string_view bytes);

/// From the kernel's random numbers.
SipKey new_sip_key();
/// 32 hex digits, and back; throws IoError for anything else.
std::string to_hex(const SipKey& key);
SipKey sip_key_from_hex(std::string_view text);

}  // namespace regatta
