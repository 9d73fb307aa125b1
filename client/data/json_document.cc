#include "client/data/json_document.h"

#include "absl/strings/str_cat.h"
#include "client/data/chat.h"
#include "client/data/text_source.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

using Json = nlohmann::json;

constexpr char kRemedy[] = "write messages as {\"role\": \"user\", \"content\": TEXT}";

// A member of a message that must be a string; null where it is not.
const std::string* StringIn(const Json& message, const char* member) {
  const auto found = message.find(member);
  return found == message.end() ? nullptr : found->get_ptr<const Json::string_t*>();
}

// What is wrong with messages[i], empty for nothing; else it is packed.
std::string PackJson(const Json& message, size_t i, std::string* packed) {
  const std::string where = absl::StrCat(kMessagesMember, "[", i, "]");
  if (!message.is_object()) {
    return absl::StrCat(where, " is not an object");
  }
  const std::string* const role = StringIn(message, "role");
  const std::string* const content = StringIn(message, "content");
  if (role == nullptr || content == nullptr) {
    return absl::StrCat(where, ".", role == nullptr ? "role" : "content", " is not a string");
  }
  const Role* const known = FindRole(*role);
  if (known == nullptr) {
    return absl::StrCat(where, ".role: '", *role, "' is not system, user or assistant");
  }
  std::string text = *content;
  NormalizeNewlines(&text);
  PackMessage(*known, text, packed);
  return "";
}

absl::StatusOr<JsonDocument> ParseChat(const std::string& path, int64_t line, const Json& messages) {
  if (!messages.is_array() || messages.empty()) {
    return BadInput(path, line, absl::StrCat(kMessagesMember, " is not an array of messages"), kRemedy);
  }
  JsonDocument document;
  document.chat = true;
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string wrong = PackJson(messages[i], i, &document.content);
    if (!wrong.empty()) {
      return BadInput(path, line, wrong, kRemedy);
    }
  }
  return document;
}

}  // namespace

absl::Status BadInput(const std::string& path, int64_t line, absl::string_view what,
                      absl::string_view remedy) {
  return InvalidField("INPUT_INVALID", "INPUT", absl::StrCat(path, ":", line, ": ", what), remedy);
}

absl::StatusOr<JsonDocument> ParseJsonDocument(const std::string& path, int64_t line, absl::string_view json,
                                               const std::string& text_field) {
  const Json object = Json::parse(json.begin(), json.end(), nullptr, false);
  if (object.is_discarded() || !object.is_object()) {
    return BadInput(path, line, "not a JSON object", "give one object a line");
  }
  const std::string* const text = StringIn(object, text_field.c_str());
  if (text != nullptr) {
    JsonDocument document;
    document.content = *text;
    NormalizeNewlines(&document.content);
    return document;
  }
  const auto messages = object.find(kMessagesMember);
  if (messages != object.end()) {
    return ParseChat(path, line, *messages);
  }
  return BadInput(path, line,
                  absl::StrCat("no string '", text_field, "' in this object, and no '", kMessagesMember, "'"),
                  "name the member that holds the text with --text-field");
}

}  // namespace cherry::client
