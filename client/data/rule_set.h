// The language rules that labels come from: patterns and word lists of client/data/rules, built into the
// program.
//
// Immutable and thread-safe once made.
#ifndef CHERRY_CLIENT_DATA_RULE_SET_H_
#define CHERRY_CLIENT_DATA_RULE_SET_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/token_labels.h"
#include "re2/re2.h"

namespace cherry::client {

inline constexpr char kKorean[] = "ko";
inline constexpr char kEnglish[] = "en";

struct RulePattern {
  enum class Where {
    kAnywhere,
    kName,     // Not where only the beginning of a sentence asks for the capital.
    kForeign,  // In lines that are mostly of the language of the file.
  };
  std::unique_ptr<const RE2> regex;
  Category category = Category::kFact;
  Where where = Where::kAnywhere;
};

// What is read out of one file.
struct RuleFile {
  std::vector<RulePattern> patterns;
  std::vector<std::string> particles;  // The longest first.
  std::vector<std::string> endings;
  std::vector<std::string> titles;
  absl::flat_hash_set<std::string> except;
  double rare_share = 0;
};

// INVALID_RULES names the line.
absl::StatusOr<RuleFile> ParseRules(absl::string_view name, absl::string_view text);

// "ko,en" as {"ko", "en"}, in one order and each once; "none" as {}. UNKNOWN_LANGUAGE.
absl::StatusOr<std::vector<std::string>> ParseLanguages(absl::string_view list);

class RuleSet {
 public:
  // `languages` as ParseLanguages gives them, at least one.
  static absl::StatusOr<RuleSet> Create(const std::vector<std::string>& languages);

  const std::vector<std::string>& languages() const { return languages_; }
  // Of the files' content, XXH3-128.
  const std::string& hash() const { return hash_; }
  const std::vector<RuleFile>& files() const { return files_; }
  // Null without Korean.
  const RuleFile* korean() const;

 private:
  RuleSet() = default;
  std::vector<std::string> languages_;
  std::string hash_;
  std::vector<RuleFile> files_;  // That of all languages, then one for each.
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_RULE_SET_H_
