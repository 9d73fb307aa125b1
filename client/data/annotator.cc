#include "client/data/annotator.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "client/data/korean_words.h"
#include "client/data/utf8.h"

namespace cherry::client {
namespace {

using Where = RulePattern::Where;

// Marks that end a clause; of those of several bytes only the ones in use.
constexpr const char* kClauseEnds[] = {"\n", ".", ",", ";", ":", "!", "?", "…", "。", "—"};
// What may stand between a marker and its clause.
constexpr const char* kClauseGaps[] = {" ", "\t", ".", ",", ":",  ";", "!", "?",
                                       "…", "~",  "—", "-", "\"", "”", "’"};

// Length of the mark that `text` begins with, 0 for none.
template <size_t N>
size_t MarkBytes(absl::string_view text, const char* const (&marks)[N]) {
  for (const absl::string_view mark : marks) {
    if (absl::StartsWith(text, mark)) {
      return mark.size();
    }
  }
  return 0;
}

// End of the clause that follows a marker. The full stop in "3.5" ends none.
size_t ClauseEnd(absl::string_view text, size_t at) {
  while (at < text.size()) {
    const size_t gap = MarkBytes(text.substr(at), kClauseGaps);
    if (gap == 0) {
      break;
    }
    at += gap;
  }
  for (; at < text.size(); ++at) {
    const size_t mark = MarkBytes(text.substr(at), kClauseEnds);
    const bool inside = mark == 1 && text[at] != '\n' && at + 1 < text.size() &&
                        static_cast<unsigned char>(text[at + 1]) > ' ' &&
                        static_cast<unsigned char>(text[at + 1]) < 0x80;
    if (mark > 0 && !inside) {
      return at;
    }
  }
  return at;
}

// Calls `visit` with what a pattern finds: group 1 where it has one. The search goes on behind the group, not
// the match, so that the character that bounds one find can bound the next as well.
template <typename Visit>
void Find(const RE2& regex, absl::string_view text, Visit visit) {
  const re2::StringPiece input(text.data(), text.size());
  re2::StringPiece groups[2];
  const int wanted = regex.NumberOfCapturingGroups() > 0 ? 2 : 1;
  size_t at = 0;
  while (at < text.size() && regex.Match(input, at, text.size(), RE2::UNANCHORED, groups, wanted)) {
    const re2::StringPiece& found = groups[wanted - 1];
    if (found.empty()) {  // No rule of ours; and a character, so that it ends.
      at = static_cast<size_t>(groups[0].data() - text.data());
      if (at < text.size()) {
        NextCodePoint(text, &at);
      }
      continue;
    }
    const auto begin = static_cast<size_t>(found.data() - text.data());
    at = begin + found.size();
    visit(begin, at);
  }
}

// Whether lines are mostly Hangul, asked for places in ascending order. A syllable counts as two Latin
// letters.
class HangulLines {
 public:
  explicit HangulLines(absl::string_view text) : text_(text) {}

  bool At(size_t place) {
    if (place >= end_) {
      const size_t begin = place == 0 ? absl::string_view::npos : text_.rfind('\n', place - 1);
      const size_t line = begin == absl::string_view::npos ? 0 : begin + 1;
      end_ = std::min(text_.find('\n', place), text_.size());
      const LetterCounts letters = CountLetters(text_.substr(line, end_ - line));
      hangul_ = letters.hangul > 0 && 2 * letters.hangul >= letters.latin + letters.other;
    }
    return hangul_;
  }

 private:
  const absl::string_view text_;
  size_t end_ = 0;
  bool hangul_ = false;
};

// Whether a sentence begins here, so that a capital tells nothing: at the beginning of a line too, since
// headings and list items end without a stop.
bool BeginsSentence(absl::string_view text, size_t at) {
  static constexpr absl::string_view kOpening = " \t\"'([*>#-";
  while (at > 0) {
    const char before = text[at - 1];
    if (kOpening.find(before) != absl::string_view::npos) {
      --at;
    } else if (absl::EndsWith(text.substr(0, at), "“") || absl::EndsWith(text.substr(0, at), "‘")) {
      at -= 3;
    } else {
      return before == '\n' || before == '.' || before == '!' || before == '?' || before == ':' ||
             absl::EndsWith(text.substr(0, at), "…") || absl::EndsWith(text.substr(0, at), "”");
    }
  }
  return true;
}

class Finder {
 public:
  Finder(absl::string_view text, const RareStems& rare) : text_(text), rare_(rare) {}

  void Apply(const RuleFile& file) {
    for (const RulePattern& pattern : file.patterns) {
      if (pattern.where == Where::kName) {
        Names(file, pattern);
        continue;
      }
      HangulLines lines(text_);
      Find(*pattern.regex, text_, [&](size_t begin, size_t end) {
        if (pattern.where == Where::kAnywhere || lines.At(begin)) {
          Add(pattern.category, begin, end);
        }
      });
    }
  }

  void KoreanStems(const RuleFile& file) {
    const std::vector<KoreanWord> words = KoreanWords(text_, file);
    for (size_t i = 0; i < words.size(); ++i) {
      const KoreanWord& word = words[i];
      const absl::string_view stem = Text(word.begin, word.stem_end);
      if (stem.size() < 2 * kSyllableBytes) {
        continue;
      }
      const size_t named = NamedBytes(file, words, i);
      if (named > 0) {
        Add(Category::kFact, word.begin, word.begin + named);
      } else if (rare_.Contains(StemHash(stem)) || HasEnding(file, stem, word.stem_end == word.end)) {
        Add(Category::kFact, word.begin, word.stem_end);
      }
    }
  }

  std::vector<TextSpan> Take() {
    const auto order = [](const TextSpan& a, const TextSpan& b) {
      return std::make_pair(a.category, a.begin) < std::make_pair(b.category, b.begin);
    };
    std::sort(spans_.begin(), spans_.end(), order);
    std::vector<TextSpan> merged;
    for (const TextSpan& span : spans_) {
      TextSpan* const last = merged.empty() ? nullptr : &merged.back();
      if (last == nullptr || last->category != span.category || span.begin >= last->end) {
        merged.push_back(span);
        continue;
      }
      // A second marker in the clause of a first lengthens it.
      last->marker_end = std::max(last->marker_end, span.marker_end);
      last->end = std::max(last->end, span.end);
    }
    std::stable_sort(merged.begin(), merged.end(),
                     [](const TextSpan& a, const TextSpan& b) { return a.begin < b.begin; });
    return merged;
  }

 private:
  absl::string_view Text(size_t begin, size_t end) const { return text_.substr(begin, end - begin); }

  void Add(Category category, size_t begin, size_t end) {
    if (category == Category::kCorrect) {
      spans_.push_back({begin, ClauseEnd(text_, end), category, end});
    } else if (category != Category::kFact || end - begin <= kMaxFactBytes) {
      spans_.push_back({begin, end, category, end});
    }
  }

  // A run of capitalised words is a name, but for its first word where only a sentence begins; that one too
  // if the run stands within a sentence elsewhere. Words like "The" are none by themselves: titles and
  // references have them within.
  void Names(const RuleFile& file, const RulePattern& pattern) {
    std::vector<std::pair<size_t, size_t>> initial;
    absl::flat_hash_set<absl::string_view> inside;
    Find(*pattern.regex, text_, [&](size_t begin, size_t end) {
      if (file.except.contains(Text(begin, end))) {
        return;
      }
      if (BeginsSentence(text_, begin)) {
        initial.emplace_back(begin, end);
      } else {
        inside.insert(Text(begin, end));
        Add(Category::kFact, begin, end);
      }
    });
    for (auto [begin, end] : initial) {
      if (!inside.contains(Text(begin, end))) {
        begin = std::min(text_.find_first_of(" -", begin), end);
        while (begin < end && (text_[begin] < 'A' || text_[begin] > 'Z')) {
          ++begin;  // Past "of the" too.
        }
      }
      if (begin < end) {
        Add(Category::kFact, begin, end);
      }
    }
  }

  static bool IsParticle(const RuleFile& file, absl::string_view word) {
    return std::find(file.particles.begin(), file.particles.end(), word) != file.particles.end();
  }

  // `whole`: the word has no particle. An ending that may be one itself is one then: "경기도에" names a
  // province, in "할 수도 있다" none is meant.
  static bool HasEnding(const RuleFile& file, absl::string_view stem, bool whole) {
    if (file.except.contains(stem)) {
      return false;
    }
    return std::any_of(file.endings.begin(), file.endings.end(), [&](const std::string& ending) {
      return stem.size() > ending.size() && absl::EndsWith(stem, ending) &&
             !(whole && IsParticle(file, ending));
    });
  }

  // Bytes of a word that a title names: "김철수" of "김철수씨" and of "김철수 씨가"; 0 for none.
  size_t NamedBytes(const RuleFile& file, const std::vector<KoreanWord>& words, size_t i) const {
    const KoreanWord& word = words[i];
    const absl::string_view stem = Text(word.begin, word.stem_end);
    for (const std::string& title : file.titles) {
      if (stem.size() >= title.size() + 2 * kSyllableBytes && absl::EndsWith(stem, title)) {
        return stem.size() - title.size();
      }
    }
    if (i + 1 == words.size() || word.stem_end != word.end) {
      return 0;
    }
    const KoreanWord& next = words[i + 1];
    if (next.begin != word.end + 1 || text_[word.end] != ' ') {
      return 0;
    }
    // A title of one syllable keeps its particle in KoreanWord: no two syllables would stay.
    const absl::string_view whole = Text(next.begin, next.end);
    for (const std::string& title : file.titles) {
      if (absl::StartsWith(whole, title) &&
          (whole.size() == title.size() || IsParticle(file, whole.substr(title.size())))) {
        return stem.size();
      }
    }
    return 0;
  }

  const absl::string_view text_;
  const RareStems& rare_;
  std::vector<TextSpan> spans_;
};

}  // namespace

std::vector<TextSpan> Annotator::Annotate(absl::string_view text) const {
  Finder finder(text, rare_);
  for (const RuleFile& file : rules_.files()) {
    finder.Apply(file);
  }
  if (rules_.korean() != nullptr) {
    finder.KoreanStems(*rules_.korean());
  }
  return finder.Take();
}

}  // namespace cherry::client
