#include "client/data/sentences.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace cherry::client {
namespace {

constexpr uint8_t kOnlySpace = 1;
constexpr uint8_t kOnlyClosers = 2;  // And white space behind them.
constexpr uint8_t kSpaceBefore = 4;
constexpr uint8_t kSpaceBehind = 8;
constexpr uint8_t kLineBehind = 16;  // A line ends in that white space.
constexpr uint8_t kMark = 32;        // '.', '!' or '?', maybe with closers behind it.
constexpr uint8_t kFullStop = 64;    // '。', the same.

enum class Place {
  kInside,
  kMark,      // Behind a mark: white space makes it an end.
  kFullStop,  // Behind an end that needs no white space.
  kBetween,   // In the white space between two sentences.
};

// Quotes and brackets that belong to the sentence they close.
absl::string_view StripClosers(absl::string_view text) {
  bool stripped = true;
  while (stripped) {
    stripped = false;
    for (const char* closer : {"\"", "'", ")", "]", "”", "’", "」", "』", "》"}) {
      stripped = absl::ConsumeSuffix(&text, closer) || stripped;
    }
  }
  return text;
}

Place PlaceBehind(uint8_t marks, Place before) {
  if ((marks & kLineBehind) != 0) {
    return Place::kBetween;
  }
  Place place = (marks & kMark) != 0       ? Place::kMark
                : (marks & kFullStop) != 0 ? Place::kFullStop
                                           : Place::kInside;
  if ((marks & (kOnlySpace | kOnlyClosers)) != 0) {
    place = before;
  }
  return place != Place::kInside && (marks & kSpaceBehind) != 0 ? Place::kBetween : place;
}

// Whether a token starts a sentence that comes after `before`.
bool Starts(uint8_t marks, Place before) {
  switch (before) {
    case Place::kInside:
      return false;
    case Place::kMark:
      return (marks & kSpaceBefore) != 0 && (marks & kOnlySpace) == 0;
    case Place::kFullStop:
      return (marks & (kOnlySpace | kOnlyClosers)) == 0;
    case Place::kBetween:
      return (marks & kOnlySpace) == 0;
  }
  return false;
}

}  // namespace

uint8_t SentenceMarks(absl::string_view token_text) {
  if (token_text.empty()) {
    return 0;
  }
  const absl::string_view words = absl::StripTrailingAsciiWhitespace(token_text);
  const absl::string_view space = token_text.substr(words.size());
  const absl::string_view sentence = StripClosers(words);
  int marks = 0;
  marks |= words.empty() ? kOnlySpace : 0;
  marks |= !words.empty() && sentence.empty() ? kOnlyClosers : 0;
  marks |= absl::ascii_isspace(static_cast<unsigned char>(token_text.front())) ? kSpaceBefore : 0;
  marks |= !space.empty() ? kSpaceBehind : 0;
  marks |= space.find('\n') != absl::string_view::npos ? kLineBehind : 0;
  for (const char* mark : {".", "!", "?"}) {
    marks |= absl::EndsWith(sentence, mark) ? kMark : 0;
  }
  marks |= absl::EndsWith(sentence, "。") ? kFullStop : 0;
  return static_cast<uint8_t>(marks);
}

std::vector<size_t> SentenceStarts(absl::Span<const LabelledToken> text, absl::Span<const uint8_t> marks) {
  std::vector<size_t> starts;
  Place place = Place::kBetween;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto token = static_cast<size_t>(text[i].token);
    const uint8_t mark = token < marks.size() ? marks[token] : uint8_t{0};
    if (i == 0 || Starts(mark, place)) {
      starts.push_back(i);
      place = Place::kInside;
    }
    place = PlaceBehind(mark, place);
  }
  return starts;
}

}  // namespace cherry::client
