#pragma once
// The program ssh as Regatta calls it: never asking a person, never waiting for long.

#include <filesystem>
#include <string>
#include <vector>

#include "cluster/spec.hpp"

namespace regatta {

/// "ssh" and its options for a pool, without a host: what mpirun's agent is made of, too. A host that does not answer
/// fails after 5 s, a connection that falls silent after 6 s.
std::vector<std::string> ssh_program(const PoolSpec& pool);

/// ssh's own words, where it could not reach `host`, as one message that says what to do. `text`: what it printed.
std::string ssh_trouble(const PoolSpec& pool, const std::string& host, const std::string& text);

}  // namespace regatta
