// One line of a .jsonl file as a document. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_JSON_DOCUMENT_H_
#define CHERRY_CLIENT_DATA_JSON_DOCUMENT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::client {

// Of an object that is a conversation.
inline constexpr char kMessagesMember[] = "messages";

struct JsonDocument {
  bool chat = false;
  std::string content;  // A text, or a conversation as chat.h packs it.
};

// The string member `text_field` is a text; an object without one, but with `messages`, is a conversation.
// INPUT_INVALID names file, line and member.
absl::StatusOr<JsonDocument> ParseJsonDocument(const std::string& path, int64_t line, absl::string_view json,
                                               const std::string& text_field);

// INPUT_INVALID at "path:line: what".
absl::Status BadInput(const std::string& path, int64_t line, absl::string_view what,
                      absl::string_view remedy);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_JSON_DOCUMENT_H_
