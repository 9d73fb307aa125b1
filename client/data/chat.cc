#include "client/data/chat.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr char kMessageByte = '\xFF';
constexpr Role kAll[kRoles] = {Role::kSystem, Role::kUser, Role::kAssistant};
constexpr const char* kNames[kRoles] = {"system", "user", "assistant"};
constexpr const char* kTokens[kRoles] = {"<|system|>", "<|user|>", "<|assistant|>"};

size_t Index(Role role) { return static_cast<size_t>(role); }

}  // namespace

absl::string_view RoleToken(Role role) { return kTokens[Index(role)]; }

std::vector<std::string> RoleTokens() { return {std::begin(kTokens), std::end(kTokens)}; }

const Role* FindRole(absl::string_view name) {
  const auto* const found = std::find(std::begin(kNames), std::end(kNames), name);
  return found == std::end(kNames) ? nullptr : &kAll[found - std::begin(kNames)];
}

void PackMessage(Role role, absl::string_view content, std::string* packed) {
  packed->push_back(kMessageByte);
  packed->push_back(static_cast<char>('0' + Index(role)));
  packed->append(content.data(), content.size());
  packed->push_back('\n');
}

std::vector<Message> UnpackChat(absl::string_view packed) {
  std::vector<Message> messages;
  while (!packed.empty()) {
    const size_t end = std::min(packed.find(kMessageByte, 1), packed.size());
    messages.push_back({kAll[packed[1] - '0'], packed.substr(2, end - 2)});
    packed.remove_prefix(end);
  }
  return messages;
}

int64_t TemplateBytes(absl::string_view packed) {
  size_t bytes = 0;
  for (const Message& message : UnpackChat(packed)) {
    bytes += RoleToken(message.role).size() + 1 + message.text.size();
  }
  return static_cast<int64_t>(bytes);
}

const char kChatTemplate[] =
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '\n' }}{% endfor "
    "%}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}";

absl::StatusOr<std::vector<int32_t>> EncodeChatPrompt(const Tokenizer& tokenizer, absl::string_view prompt) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> roles, FindRoleTokens(tokenizer));
  ASSIGN_OR_RETURN(const std::vector<int32_t> line_end, tokenizer.Encode("\n"));
  ASSIGN_OR_RETURN(const std::vector<int32_t> said, tokenizer.Encode(absl::StrCat(prompt, "\n")));
  std::vector<int32_t> ids = {roles[Index(Role::kUser)]};
  ids.insert(ids.end(), line_end.begin(), line_end.end());
  ids.insert(ids.end(), said.begin(), said.end());
  ids.push_back(roles[Index(Role::kAssistant)]);
  ids.insert(ids.end(), line_end.begin(), line_end.end());
  return ids;
}

absl::StatusOr<std::vector<int32_t>> FindRoleTokens(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (const Role role : kAll) {
    const absl::string_view token = RoleToken(role);
    const auto id = tokenizer.TokenToId(token);
    bool special = id.has_value();
    if (special) {
      ASSIGN_OR_RETURN(const std::vector<int32_t> text, tokenizer.Encode(absl::StrCat("a", token, "b")));
      special = std::find(text.begin(), text.end(), *id) == text.end();
    }
    if (!special) {
      return InvalidField("CHAT_TOKENS_MISSING", "tokenizer",
                          absl::StrCat("tokenizer: ", token,
                                       " is no special token of it, and chat data needs "
                                       "<|system|>, <|user|> and <|assistant|>"),
                          "train one on chat data with --vocab, or take one that brings a chat template");
    }
    ids.push_back(*id);
  }
  return ids;
}

}  // namespace cherry::client
