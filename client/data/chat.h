// Conversations as documents: how they are read, kept while a dataset is made, and written as text.
//
// The template (docs/formats.md): "<|ROLE|>\nCONTENT\n" for each message, where <|ROLE|> is one special
// token. What people write can never become one: each part is encoded by itself, and no special token is read
// out of a text.
//
// Thread-safe.
#ifndef CHERRY_CLIENT_DATA_CHAT_H_
#define CHERRY_CLIENT_DATA_CHAT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/tokenizer/tokenizer_cc.h"

namespace cherry::client {

enum class Role { kSystem, kUser, kAssistant };
inline constexpr int kRoles = 3;

// The special token of a role: "<|user|>".
absl::string_view RoleToken(Role role);
std::vector<std::string> RoleTokens();
// Null where there is none of this name.
const Role* FindRole(absl::string_view name);

struct Message {
  Role role;
  absl::string_view text;  // The content and the line end that closes it.
};

// A conversation as one string and back. Each message begins with a byte that no UTF-8 has, so that nothing
// in a content can look like it; the views are into `packed`.
void PackMessage(Role role, absl::string_view content, std::string* packed);
std::vector<Message> UnpackChat(absl::string_view packed);

// Bytes of a packed conversation as the template writes it.
int64_t TemplateBytes(absl::string_view packed);

// The ids of the role tokens, in the order of Role. CHAT_TOKENS_MISSING where the tokenizer lacks one, or
// would read it out of what people write.
absl::StatusOr<std::vector<int32_t>> FindRoleTokens(const Tokenizer& tokenizer);

// The ids of what a user says, up to where the assistant answers. CHAT_TOKENS_MISSING.
absl::StatusOr<std::vector<int32_t>> EncodeChatPrompt(const Tokenizer& tokenizer, absl::string_view prompt);

// The same template in Jinja, for other programs.
extern const char kChatTemplate[];

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_CHAT_H_
