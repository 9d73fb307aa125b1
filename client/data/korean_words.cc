#include "client/data/korean_words.h"

#include "absl/strings/match.h"
#include "client/data/rare_stems.h"
#include "client/data/utf8.h"

namespace cherry::client {

size_t StemBytes(absl::string_view word, const RuleFile& rules) {
  for (const std::string& particle : rules.particles) {
    if (word.size() >= particle.size() + 2 * kSyllableBytes && absl::EndsWith(word, particle)) {
      return word.size() - particle.size();
    }
  }
  return word.size();
}

std::vector<KoreanWord> KoreanWords(absl::string_view text, const RuleFile& rules) {
  std::vector<KoreanWord> words;
  bool attached = false;  // The character before is a letter or digit of another script.
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t first = NextCodePoint(text, &at);
    if (!IsHangul(first)) {
      attached = IsLatin(first) || IsOtherLetter(first) || (first >= '0' && first <= '9');
      continue;
    }
    size_t end = at;
    while (at < text.size() && IsHangul(NextCodePoint(text, &at))) {
      end = at;
    }
    at = end;
    if (!attached) {
      words.push_back({begin, end, begin + StemBytes(text.substr(begin, end - begin), rules)});
    }
    attached = false;
  }
  return words;
}

std::vector<uint64_t> CountedStems(absl::string_view text, const RuleFile& rules) {
  std::vector<uint64_t> stems;
  for (const KoreanWord& word : KoreanWords(text, rules)) {
    if (word.stem_end - word.begin >= 2 * kSyllableBytes) {
      stems.push_back(StemHash(text.substr(word.begin, word.stem_end - word.begin)));
    }
  }
  return stems;
}

}  // namespace cherry::client
