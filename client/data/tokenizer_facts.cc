#include "client/data/tokenizer_facts.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/data/chat.h"
#include "client/data/copy_file.h"
#include "common/file.h"
#include "common/manifest.h"
#include "common/model_plan.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr char kOwnBegin[] = "<s>";
constexpr char kOwnEnd[] = "</s>";

absl::Status Unsupported(const std::string& path, absl::string_view what, absl::string_view remedy) {
  return InvalidField("TOKENIZER_UNSUPPORTED", "tokenizer", absl::StrCat(path, ": ", what), remedy);
}

std::string Beside(const std::string& path, const char* name) {
  const size_t slash = path.rfind('/');
  return absl::StrCat(slash == std::string::npos ? "." : path.substr(0, slash), "/", name);
}

// "</s>", or an object with it as its content.
std::string TokenText(const OrderedJson& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end()) {
    return "";
  }
  const OrderedJson& token = found->is_object() && found->contains("content") ? (*found)["content"] : *found;
  return token.is_string() ? token.get<std::string>() : "";
}

// A template by itself, or the one called "default" of several.
std::string TemplateIn(const OrderedJson& config) {
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_string()) {
    return found == config.end() ? "" : found->get<std::string>();
  }
  for (const OrderedJson& one : *found) {
    if (one.is_object() && TokenText(one, "name") == "default") {
      return TokenText(one, "template");
    }
  }
  return "";
}

absl::Status ReadConfig(const Tokenizer& tokenizer, const std::string& path, TokenizerFacts* facts) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const OrderedJson config = OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) {
    return Unsupported(path, "not a JSON object", "copy it from the model again");
  }
  facts->end = TokenText(config, "eos_token");
  const auto end = tokenizer.TokenToId(facts->end);
  if (facts->end.empty() || !end.has_value()) {
    return Unsupported(path, absl::StrCat("eos_token '", facts->end, "' is no token of the tokenizer"),
                       "name the token that ends a document as eos_token");
  }
  facts->end_token = *end;
  facts->begin = TokenText(config, "bos_token");
  facts->begin_token = tokenizer.TokenToId(facts->begin).value_or(*end);
  facts->chat_template = TemplateIn(config);
  return absl::OkStatus();
}

// One message after the other, as JSON.
std::vector<OrderedJson> ToJson(absl::string_view packed) {
  std::vector<OrderedJson> messages;
  for (const Message& message : UnpackChat(packed)) {
    absl::string_view content = message.text;
    content.remove_suffix(1);  // The line end that closes it.
    absl::string_view role = RoleToken(message.role);
    role.remove_prefix(2);  // "<|user|>"
    role.remove_suffix(2);
    messages.push_back({{"role", std::string(role)}, {"content", std::string(content)}});
  }
  return messages;
}

absl::StatusOr<std::string> RenderFirst(const TokenizerFacts& facts, const std::vector<OrderedJson>& messages,
                                        size_t count, bool add_generation_prompt) {
  OrderedJson first = OrderedJson::array();
  for (size_t i = 0; i < count; ++i) {
    first.push_back(messages[i]);
  }
  const std::string json = first.dump();
  return RenderChat({facts.chat_template, json, facts.begin, facts.end, add_generation_prompt});
}

}  // namespace

bool TokenizerFacts::ours() const { return begin_token == kBeginToken && end_token == kEndToken; }

absl::StatusOr<TokenizerFacts> ReadTokenizerFacts(const Tokenizer& tokenizer, const std::string& path) {
  TokenizerFacts facts;
  const std::string config = Beside(path, kTokenizerConfigFile);
  if (Exists(config)) {
    RETURN_IF_ERROR(ReadConfig(tokenizer, config, &facts));
  } else {
    facts.begin = kOwnBegin;
    facts.end = kOwnEnd;
    facts.begin_token = kBeginToken;
    facts.end_token = kEndToken;
    const auto end = tokenizer.TokenToId(kOwnEnd);
    if (!end.has_value() || *end != kEndToken) {
      return Unsupported(
          path,
          absl::StrCat("'", kOwnEnd, "' is not token ", kEndToken,
                       ", which ends a document, and there is no ", kTokenizerConfigFile, " beside it"),
          "put the model's tokenizer_config.json there: it names the token that ends a text");
    }
  }
  const std::string chat_template = Beside(path, kChatTemplateFile);
  if (Exists(chat_template)) {
    ASSIGN_OR_RETURN(facts.chat_template, ReadFile(chat_template));
  }
  ASSIGN_OR_RETURN(facts.prefix, tokenizer.Prefix());
  return facts;
}

absl::Status CopyCompanions(const std::string& path, const std::string& directory) {
  for (const char* name : kTokenizerFiles) {
    const std::string companion = Beside(path, name);
    if (name != absl::string_view(kTokenizerFile) && Exists(companion)) {
      RETURN_IF_ERROR(CopyFile(companion, absl::StrCat(directory, "/", name)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<RenderedChat> RenderConversation(const TokenizerFacts& facts, absl::string_view packed) {
  const std::vector<OrderedJson> messages = ToJson(packed);
  RenderedChat chat;
  ASSIGN_OR_RETURN(chat.text, RenderFirst(facts, messages, messages.size(), false));
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i]["role"] != "assistant") {
      continue;
    }
    ASSIGN_OR_RETURN(const std::string prompt, RenderFirst(facts, messages, i, true));
    ASSIGN_OR_RETURN(const std::string said, i + 1 == messages.size()
                                                 ? absl::StatusOr<std::string>(chat.text)
                                                 : RenderFirst(facts, messages, i + 1, false));
    if (!absl::StartsWith(said, prompt) || !absl::StartsWith(chat.text, said)) {
      return InvalidField("CHAT_TEMPLATE_UNSUPPORTED", "tokenizer",
                          absl::StrCat("tokenizer: its chat template writes message ", i,
                                       " otherwise once others follow, so that responses have no place"),
                          "prepare each turn as a conversation of its own, or change the template");
    }
    chat.responses.push_back({prompt.size(), said.size(), i});
  }
  return chat;
}

absl::StatusOr<std::string> RenderPrompt(const TokenizerFacts& facts, absl::string_view prompt) {
  return RenderFirst(facts, {{{"role", "user"}, {"content", std::string(prompt)}}}, 1, true);
}

}  // namespace cherry::client
