#include "client/cli/yaml_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace cherry::client {

std::string YamlText(const std::string& value) {
  bool plain = !value.empty() && (absl::ascii_isalpha(value[0]) || value[0] == '/');
  for (const char c : value) {
    plain = plain && (absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '/' || c == '.');
  }
  const std::string lower = absl::AsciiStrToLower(value);
  for (const char* word : {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"}) {
    plain = plain && lower != word;
  }
  if (plain) {
    return value;
  }
  std::string quoted = "\"";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", std::string(1, c));
    } else if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&quoted, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

}  // namespace cherry::client
