#include "client/data/document_encoder.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "client/data/chat.h"
#include "client/data/label_tokens.h"
#include "client/data/parallel.h"
#include "common/status.h"
#include "common/token_labels.h"

namespace cherry::client {

std::vector<absl::string_view> RuledTexts(absl::string_view document, bool chat) {
  if (!chat) {
    return {document};
  }
  std::vector<absl::string_view> texts;
  for (const Message& message : UnpackChat(document)) {
    if (message.role == Role::kAssistant) {
      texts.push_back(message.text);
    }
  }
  return texts;
}

std::vector<absl::string_view> WrittenTexts(absl::string_view document, bool chat) {
  if (!chat) {
    return {document};
  }
  std::vector<absl::string_view> texts;
  for (const Message& message : UnpackChat(document)) {
    texts.push_back(message.text);
  }
  return texts;
}

absl::StatusOr<DocumentEncoder> DocumentEncoder::Create(const Tokenizer* tokenizer,
                                                        const TokenizerFacts* facts,
                                                        const Annotator* annotator, bool chat, int threads) {
  DocumentEncoder encoder;
  encoder.tokenizer_ = tokenizer;
  encoder.annotator_ = annotator;
  encoder.chat_ = chat;
  encoder.facts_ = facts;
  encoder.threads_ = threads;
  if (chat && facts->chat_template.empty()) {
    ASSIGN_OR_RETURN(encoder.roles_, FindRoleTokens(*tokenizer));
  }
  return encoder;
}

absl::StatusOr<EncodedDocument> DocumentEncoder::LabelRendered(const std::string& document,
                                                               const RenderedChat& chat,
                                                               absl::Span<const int32_t> tokens,
                                                               absl::Span<const ByteRange> ranges) const {
  EncodedDocument encoded;
  encoded.tokens.assign(tokens.begin(), tokens.end());
  encoded.text_bytes = static_cast<int64_t>(chat.text.size());
  const std::vector<Message> messages = UnpackChat(document);
  std::vector<TextSpan> spans;
  for (const RenderedChat::Response& response : chat.responses) {
    // A template may trim what was said.
    const absl::string_view said = absl::StripAsciiWhitespace(messages[response.message].text);
    const size_t at = chat.text.find(std::string(said), response.begin);
    if (annotator_ == nullptr || said.empty() || at == std::string::npos || at + said.size() > response.end) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<TextSpan> found, AnnotateText(*annotator_, said));
    for (TextSpan span : found) {
      span.begin += at;
      span.end += at;
      span.marker_end += at;
      spans.push_back(span);
    }
  }
  encoded.labels = LabelTokens(ranges, spans);
  for (const RenderedChat::Response& response : chat.responses) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (ranges[i].begin >= response.begin && ranges[i].begin < response.end) {
        encoded.labels[i] |= kResponse;
      }
    }
  }
  if (encoded.tokens.empty() || encoded.tokens.back() != facts_->end_token) {
    const bool answered = !chat.responses.empty() && chat.responses.back().end == chat.text.size();
    encoded.tokens.push_back(facts_->end_token);
    encoded.labels.push_back(answered ? static_cast<uint8_t>(kResponse) : uint8_t{0});
  }
  return encoded;
}

absl::StatusOr<std::vector<EncodedDocument>> DocumentEncoder::EncodeByTemplate(
    absl::Span<const std::string> documents) const {
  std::vector<absl::StatusOr<RenderedChat>> chats(documents.size());
  ParallelFor(threads_, documents.size(),
              [&](size_t i) { chats[i] = RenderConversation(*facts_, documents[i]); });
  std::vector<absl::string_view> texts;
  for (const absl::StatusOr<RenderedChat>& chat : chats) {
    RETURN_IF_ERROR(chat.status());
    texts.push_back(chat->text);
  }
  ASSIGN_OR_RETURN(const EncodedBatch batch, tokenizer_->EncodeBatch(texts, threads_, /*ranges=*/true));
  std::vector<absl::StatusOr<EncodedDocument>> labelled(documents.size());
  ParallelFor(threads_, documents.size(), [&](size_t i) {
    labelled[i] = LabelRendered(documents[i], *chats[i], batch[i], batch.ranges_of(i));
  });
  std::vector<EncodedDocument> encoded;
  for (absl::StatusOr<EncodedDocument>& document : labelled) {
    RETURN_IF_ERROR(document.status());
    encoded.push_back(*std::move(document));
  }
  return encoded;
}

std::vector<DocumentEncoder::Piece> DocumentEncoder::Cut(absl::Span<const std::string> documents) const {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < documents.size(); ++i) {
    bool response = false;
    for (const int32_t token : facts_->prefix) {
      pieces.push_back({i, token, "", false, false});
    }
    if (!chat_) {
      pieces.push_back({i, -1, documents[i], false, annotator_ != nullptr});
    } else {
      for (const Message& message : UnpackChat(documents[i])) {
        response = message.role == Role::kAssistant;
        pieces.push_back({i, roles_[static_cast<size_t>(message.role)], "", false, false});
        pieces.push_back({i, -1, "\n", false, false});
        pieces.push_back({i, -1, message.text, response, response && annotator_ != nullptr});
      }
    }
    pieces.push_back({i, facts_->end_token, "", response, false});
  }
  return pieces;
}

absl::StatusOr<std::vector<EncodedDocument>> DocumentEncoder::Encode(
    absl::Span<const std::string> documents) const {
  if (chat_ && roles_.empty()) {
    return EncodeByTemplate(documents);
  }
  const std::vector<Piece> pieces = Cut(documents);
  std::vector<absl::string_view> texts;
  std::vector<size_t> text_pieces;  // The piece of each text.
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (pieces[i].token < 0) {
      texts.push_back(pieces[i].text);
      text_pieces.push_back(i);
    }
  }
  ASSIGN_OR_RETURN(const EncodedBatch batch,
                   tokenizer_->EncodeBatch(texts, threads_, /*ranges=*/annotator_ != nullptr));
  std::vector<EncodedDocument> parts(pieces.size());
  std::vector<absl::Status> statuses(texts.size());
  ParallelFor(threads_, texts.size(), [&](size_t text) {
    const Piece& piece = pieces[text_pieces[text]];
    EncodedDocument& part = parts[text_pieces[text]];
    part.tokens.assign(batch[text].begin(), batch[text].end());
    part.labels.assign(part.tokens.size(), 0);
    if (piece.ruled) {
      const absl::StatusOr<std::vector<TextSpan>> spans = AnnotateText(*annotator_, piece.text);
      statuses[text] = spans.status();
      if (spans.ok()) {
        part.labels = LabelTokens(batch.ranges_of(text), *spans);
      }
    }
  });
  for (const absl::Status& status : statuses) {
    RETURN_IF_ERROR(status);
  }
  std::vector<EncodedDocument> encoded(documents.size());
  for (size_t i = 0; i < documents.size(); ++i) {
    encoded[i].text_bytes = chat_ ? TemplateBytes(documents[i]) : static_cast<int64_t>(documents[i].size());
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    EncodedDocument& document = encoded[pieces[i].document];
    if (pieces[i].token >= 0) {
      parts[i].tokens = {pieces[i].token};
      parts[i].labels = {0};
    }
    document.tokens.insert(document.tokens.end(), parts[i].tokens.begin(), parts[i].tokens.end());
    for (const uint8_t label : parts[i].labels) {
      document.labels.push_back(static_cast<uint8_t>(pieces[i].response ? label | kResponse : label));
    }
  }
  return encoded;
}

}  // namespace cherry::client
