// Text as one YAML scalar. Pure, thread-safe.
#ifndef CHERRY_CLIENT_CLI_YAML_TEXT_H_
#define CHERRY_CLIENT_CLI_YAML_TEXT_H_

#include <string>

namespace cherry::client {

// Plain where no reader could take it for anything but text, else in double quotes. `value` is UTF-8.
std::string YamlText(const std::string& value);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_YAML_TEXT_H_
