// From spans of a text to the labels of its tokens. Thread-safe.
#ifndef CHERRY_CLIENT_DATA_LABEL_TOKENS_H_
#define CHERRY_CLIENT_DATA_LABEL_TOKENS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "client/data/annotator.h"
#include "client/tokenizer/tokenizer_cc.h"

namespace cherry::client {

// Of the clause after the marker of a correction, at most this many tokens belong to it.
inline constexpr int kClauseTokens = 8;

// A label for each token, of which `ranges` are the bytes, in order. Every token that overlaps a span has its
// category; where spans overlap, the higher category. Spans of one category that share a token are one. What
// is left of a span that a higher one cuts are spans of their own: so the tokens of each are contiguous, and
// begin with kSpanStart.
std::vector<uint8_t> LabelTokens(absl::Span<const ByteRange> ranges, absl::Span<const TextSpan> spans);

// The spans of a text as it is, in NFC or not: it is annotated in NFC, and the spans are those of its own
// bytes.
absl::StatusOr<std::vector<TextSpan>> AnnotateText(const Annotator& annotator, absl::string_view text);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_LABEL_TOKENS_H_
