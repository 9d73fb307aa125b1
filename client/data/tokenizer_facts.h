// What a tokenizer's companions tell of it: tokenizer_config.json and chat_template.jinja, as Hugging Face
// writes them beside tokenizer.json. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_TOKENIZER_FACTS_H_
#define CHERRY_CLIENT_DATA_TOKENIZER_FACTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/tokenizer/tokenizer_cc.h"

namespace cherry::client {

struct TokenizerFacts {
  int32_t begin_token = 0;  // Begins a text; the end's where there is none of its own.
  int32_t end_token = 0;    // Ends a document.
  std::string begin;        // Their texts; `begin` is empty where there is none.
  std::string end;
  std::vector<int32_t> prefix;  // What the tokenizer puts before a text.
  std::string chat_template;    // Jinja; empty where there is none.

  // Begin and end are those of every tokenizer that Cherry trains.
  bool ours() const;
};

// Of the tokenizer at `path`, a tokenizer.json. Without a tokenizer_config.json the tokens must be Cherry's
// own: TOKENIZER_UNSUPPORTED where "</s>" is not token 2, or where the configuration names no token that ends
// a text.
absl::StatusOr<TokenizerFacts> ReadTokenizerFacts(const Tokenizer& tokenizer, const std::string& path);

// Copies what lies beside the tokenizer at `path` into `directory`: what is trained with the tokenizer brings
// it on.
absl::Status CopyCompanions(const std::string& path, const std::string& directory);

// Where the assistant speaks in a conversation that a template has written: bytes [begin, end) of the text.
struct RenderedChat {
  struct Response {
    size_t begin = 0;
    size_t end = 0;
    size_t message = 0;  // Among all of the conversation's.
  };
  std::string text;
  std::vector<Response> responses;
};

// A packed conversation (chat.h) by the template. A response is what its message adds to the prompt for it.
// CHAT_TEMPLATE_FAILED; CHAT_TEMPLATE_UNSUPPORTED where a later message changes how earlier ones are written.
absl::StatusOr<RenderedChat> RenderConversation(const TokenizerFacts& facts, absl::string_view packed);

// What a user asks, as the template writes it up to where the assistant answers.
absl::StatusOr<std::string> RenderPrompt(const TokenizerFacts& facts, absl::string_view prompt);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_TOKENIZER_FACTS_H_
