// Documents of a corpus as tokens with their labels.
//
// Not thread-safe; works on several threads inside, and gives the same on any number of them.
#ifndef CHERRY_CLIENT_DATA_DOCUMENT_ENCODER_H_
#define CHERRY_CLIENT_DATA_DOCUMENT_ENCODER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/data/annotator.h"
#include "client/data/tokenizer_facts.h"
#include "client/tokenizer/tokenizer_cc.h"

namespace cherry::client {

// What the rules read of a document: all of a text, what an assistant says in a conversation.
std::vector<absl::string_view> RuledTexts(absl::string_view document, bool chat);

// What people wrote in a document, the texts that a tokenizer learns from: all but role tokens.
std::vector<absl::string_view> WrittenTexts(absl::string_view document, bool chat);

struct EncodedDocument {
  std::vector<int32_t> tokens;  // The last is the end of text.
  std::vector<uint8_t> labels;  // One for each; all 0 without rules in a text.
  int64_t text_bytes = 0;       // Of the text, or of the conversation as the template writes it.
};

class DocumentEncoder {
 public:
  // Nothing is owned; `annotator` is null without rules. `chat`: documents are packed conversations, written
  // by the tokenizer's own chat template where it brings one (the tokenizer must parse specials then), else
  // by Cherry's. CHAT_TOKENS_MISSING.
  static absl::StatusOr<DocumentEncoder> Create(const Tokenizer* tokenizer, const TokenizerFacts* facts,
                                                const Annotator* annotator, bool chat, int threads);

  absl::StatusOr<std::vector<EncodedDocument>> Encode(absl::Span<const std::string> documents) const;

 private:
  // A part of a document that is encoded by itself: a text, or one special token.
  struct Piece {
    size_t document = 0;
    int32_t token = -1;
    absl::string_view text;
    bool response = false;
    bool ruled = false;
  };
  DocumentEncoder() = default;
  absl::StatusOr<std::vector<EncodedDocument>> EncodeByTemplate(
      absl::Span<const std::string> documents) const;
  // `chat` and its tokens, of the packed conversation `document`.
  absl::StatusOr<EncodedDocument> LabelRendered(const std::string& document, const RenderedChat& chat,
                                                absl::Span<const int32_t> tokens,
                                                absl::Span<const ByteRange> ranges) const;
  std::vector<Piece> Cut(absl::Span<const std::string> documents) const;

  const Tokenizer* tokenizer_ = nullptr;
  const Annotator* annotator_ = nullptr;
  bool chat_ = false;
  std::vector<int32_t> roles_;
  const TokenizerFacts* facts_ = nullptr;
  int threads_ = 1;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_DOCUMENT_ENCODER_H_
