#include "common/yaml_text.hpp"

#include <yaml-cpp/emitter.h>
#include <yaml-cpp/emittermanip.h>

#include "common/error.hpp"

namespace regatta {

namespace {

void write(YAML::Emitter& out, const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      out << YAML::Null;
      return;
    case YamlNode::Kind::kScalar:
      if (node.quoted) out << YAML::DoubleQuoted;
      out << node.text;
      return;
    case YamlNode::Kind::kSequence:
      out << YAML::BeginSeq;
      for (const auto& item : node.items) write(out, item);
      out << YAML::EndSeq;
      return;
    case YamlNode::Kind::kMap:
      out << YAML::BeginMap;
      for (const auto& entry : node.entries) {
        out << YAML::Key << entry.key << YAML::Value;
        write(out, entry.value);
      }
      out << YAML::EndMap;
      return;
    case YamlNode::Kind::kAlias:
      break;
  }
  REGATTA_ENSURE(false, "an alias is refused before it is written");
}

}  // namespace

std::string to_yaml(const YamlNode& root) {
  YAML::Emitter out;
  write(out, root);
  REGATTA_ENSURE(out.good(), out.GetLastError());
  return std::string(out.c_str()) + "\n";
}

}  // namespace regatta
