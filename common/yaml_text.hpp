#pragma once
// A tree back as text, for a file that --set changed.

#include <string>

#include "common/yaml_tree.hpp"

namespace regatta {

/// YAML that parse_yaml() reads as the same tree; comments and places are not kept. `root` holds no aliases.
std::string to_yaml(const YamlNode& root);

}  // namespace regatta
