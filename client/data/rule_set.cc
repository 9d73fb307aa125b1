#include "client/data/rule_set.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/data/embedded_rules.h"
#include "common/hash.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr int64_t kRegexMemory = 16 << 20;  // Beyond it RE2 forgets what it learnt of the text, and is slow.

const char* RulesOf(absl::string_view language) { return language == kKorean ? kKoreanRules : kEnglishRules; }

// Reads one file line by line.
class Parser {
 public:
  explicit Parser(absl::string_view name) : name_(name) {}

  absl::Status Line(absl::string_view line) {
    ++number_;
    line = absl::StripTrailingAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') {
      return absl::OkStatus();
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(' ', 1));
    const auto& [kind, rest] = parts;
    if (kind == "let") {
      const std::pair<absl::string_view, absl::string_view> let =
          absl::StrSplit(rest, absl::MaxSplits(' ', 1));
      lets_.emplace_back(absl::StrCat("{", let.first, "}"), absl::StrReplaceAll(let.second, lets_));
      return absl::OkStatus();
    }
    if (kind == "rare") {
      double percent = 0;
      if (!absl::SimpleAtod(rest, &percent) || percent < 0 || percent > 100) {
        return Bad(absl::StrCat("'", rest, "' is no percentage"));
      }
      file_.rare_share = percent / 100;
      return absl::OkStatus();
    }
    return Words(kind, rest) ? absl::OkStatus() : Pattern(kind, rest);
  }

  RuleFile Take() {
    std::stable_sort(file_.particles.begin(), file_.particles.end(),
                     [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
    return std::move(file_);
  }

 private:
  absl::Status Bad(absl::string_view what) const {
    return InvalidField("INVALID_RULES", "rules", absl::StrCat("rules/", name_, ".txt:", number_, ": ", what),
                        "see client/data/rules/common.txt for what a line may be");
  }

  bool Words(absl::string_view kind, absl::string_view rest) {
    const std::vector<std::string> words = absl::StrSplit(rest, ' ', absl::SkipEmpty());
    if (kind == "particle") {
      file_.particles.insert(file_.particles.end(), words.begin(), words.end());
    } else if (kind == "ending") {
      file_.endings.insert(file_.endings.end(), words.begin(), words.end());
    } else if (kind == "title") {
      file_.titles.insert(file_.titles.end(), words.begin(), words.end());
    } else if (kind == "except") {
      file_.except.insert(words.begin(), words.end());
    } else {
      return false;
    }
    return true;
  }

  absl::Status Pattern(absl::string_view kind, absl::string_view rest) {
    RulePattern pattern;
    if (kind == "reason") {
      pattern.category = Category::kReason;
    } else if (kind == "correct") {
      pattern.category = Category::kCorrect;
    } else if (kind == "name") {
      pattern.where = RulePattern::Where::kName;
    } else if (kind == "foreign") {
      pattern.where = RulePattern::Where::kForeign;
    } else if (kind != "fact") {
      return Bad(absl::StrCat("'", kind, "' is no kind of rule"));
    }
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kRegexMemory);
    auto regex = std::make_unique<const RE2>(absl::StrCat("(?m)", absl::StrReplaceAll(rest, lets_)), options);
    if (!regex->ok()) {
      return Bad(regex->error());
    }
    if (regex->NumberOfCapturingGroups() > 1) {
      return Bad("more than one group: write (?:...) for those that are not the span");
    }
    pattern.regex = std::move(regex);
    file_.patterns.push_back(std::move(pattern));
    return absl::OkStatus();
  }

  const absl::string_view name_;
  int number_ = 0;
  std::vector<std::pair<std::string, std::string>> lets_;
  RuleFile file_;
};

}  // namespace

absl::StatusOr<RuleFile> ParseRules(absl::string_view name, absl::string_view text) {
  Parser parser(name);
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    RETURN_IF_ERROR(parser.Line(line));
  }
  return parser.Take();
}

absl::StatusOr<std::vector<std::string>> ParseLanguages(absl::string_view list) {
  std::vector<std::string> languages;
  if (list == "none") {
    return languages;
  }
  const std::vector<std::string> wanted = absl::StrSplit(list, ',');
  for (const std::string& language : wanted) {
    if (language != kKorean && language != kEnglish) {
      return InvalidField("UNKNOWN_LANGUAGE", "rules",
                          absl::StrCat("rules: '", list, "': there are no rules for '", language, "'"),
                          "give ko, en, ko,en or none");
    }
  }
  for (const char* language : {kKorean, kEnglish}) {
    if (std::find(wanted.begin(), wanted.end(), language) != wanted.end()) {
      languages.push_back(language);
    }
  }
  return languages;
}

absl::StatusOr<RuleSet> RuleSet::Create(const std::vector<std::string>& languages) {
  RuleSet rules;
  rules.languages_ = languages;
  Hasher hasher;
  const auto add = [&](absl::string_view name, absl::string_view text) -> absl::Status {
    // With its end, so that no line can wander from one file to the next unseen.
    hasher.Update(text.data(), text.size());
    hasher.Update("", 1);
    ASSIGN_OR_RETURN(RuleFile file, ParseRules(name, text));
    rules.files_.push_back(std::move(file));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(add("common", kCommonRules));
  for (const std::string& language : languages) {
    RETURN_IF_ERROR(add(language, RulesOf(language)));
  }
  rules.hash_ = hasher.Hex();
  return rules;
}

const RuleFile* RuleSet::korean() const {
  return !languages_.empty() && languages_[0] == kKorean ? &files_[1] : nullptr;
}

}  // namespace cherry::client
