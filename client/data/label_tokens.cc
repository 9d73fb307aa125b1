#include "client/data/label_tokens.h"

#include <algorithm>

#include "client/data/utf8.h"
#include "common/status.h"

namespace cherry::client {
namespace {

// The tokens that belong to a span.
struct TokenSpan {
  size_t begin = 0;
  size_t end = 0;
};

TokenSpan TokensOf(absl::Span<const ByteRange> ranges, const TextSpan& span) {
  const auto first = std::partition_point(ranges.begin(), ranges.end(),
                                          [&](const ByteRange& range) { return range.end <= span.begin; });
  const auto starts_before = [&](size_t byte) {
    const auto last =
        std::partition_point(first, ranges.end(), [&](const ByteRange& range) { return range.begin < byte; });
    return static_cast<size_t>(last - ranges.begin());
  };
  TokenSpan tokens{static_cast<size_t>(first - ranges.begin()), starts_before(span.end)};
  if (span.category == Category::kCorrect) {
    tokens.end = std::min(tokens.end, starts_before(span.marker_end) + kClauseTokens);
  }
  return tokens;
}

}  // namespace

std::vector<uint8_t> LabelTokens(absl::Span<const ByteRange> ranges, absl::Span<const TextSpan> spans) {
  constexpr int32_t kNobody = -1;
  std::vector<int32_t> owners(ranges.size(), kNobody);
  for (const Category category : {Category::kFact, Category::kReason, Category::kCorrect}) {
    size_t done = 0;  // Tokens before it are those of earlier spans of this category.
    int32_t owner = kNobody;
    for (size_t i = 0; i < spans.size(); ++i) {
      if (spans[i].category != category) {
        continue;
      }
      const TokenSpan tokens = TokensOf(ranges, spans[i]);
      if (tokens.begin >= done || owner == kNobody) {
        owner = static_cast<int32_t>(i);
      }
      for (size_t token = tokens.begin; token < tokens.end; ++token) {
        owners[token] = owner;
      }
      done = std::max(done, tokens.end);
    }
  }
  std::vector<uint8_t> labels(ranges.size(), 0);
  for (size_t token = 0; token < labels.size(); ++token) {
    if (owners[token] == kNobody) {
      continue;
    }
    labels[token] = static_cast<uint8_t>(spans[static_cast<size_t>(owners[token])].category);
    if (token == 0 || owners[token - 1] != owners[token]) {
      labels[token] |= kSpanStart;
    }
  }
  return labels;
}

absl::StatusOr<std::vector<TextSpan>> AnnotateText(const Annotator& annotator, absl::string_view text) {
  if (IsSurelyNfc(text)) {
    return annotator.Annotate(text);
  }
  ASSIGN_OR_RETURN(const NfcText nfc, ToNfc(text));
  std::vector<TextSpan> spans = annotator.Annotate(nfc.text);
  // What is composed has the first of its parts as origin, so a span ends where the next character begins.
  const auto original = [&](size_t byte) {
    return byte < nfc.origins.size() ? nfc.origins[byte].begin : text.size();
  };
  for (TextSpan& span : spans) {
    span = {original(span.begin), original(span.end), span.category, original(span.marker_end)};
  }
  return spans;
}

}  // namespace cherry::client
