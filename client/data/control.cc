#include "client/data/control.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/data/k_let.h"
#include "client/data/sentences.h"
#include "common/status.h"
#include "common/token_labels.h"

namespace cherry::client {
namespace {

constexpr int kMaxK = 16;
constexpr double kMaxSurvival = 0.05;

// Every split of a dataset with numbers of its own.
uint64_t SeedOfSplit(uint64_t seed, absl::string_view split) {
  for (const char c : split) {
    seed = Random(seed ^ static_cast<unsigned char>(c)).Next();
  }
  return seed;
}

std::vector<GramSurvival> SurvivalRows(const Control& control) {
  std::vector<int> lengths = {3, 4, 6};
  if (control.kind == Control::Kind::kKLet && 2 * control.k + 2 != 6) {
    lengths.push_back(2 * control.k + 2);
  }
  std::vector<GramSurvival> rows;
  rows.reserve(lengths.size());
  for (const int n : lengths) {
    rows.push_back({n, 0, 0});
  }
  return rows;
}

void ShuffleSentences(absl::Span<const uint8_t> marks, absl::Span<LabelledToken> response, Random* random) {
  std::vector<size_t> starts = SentenceStarts(response, marks);
  starts.push_back(response.size());
  std::vector<std::pair<size_t, size_t>> sentences;
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    sentences.emplace_back(starts[i], starts[i + 1]);
  }
  random->Shuffle(absl::MakeSpan(sentences));
  std::vector<LabelledToken> changed;
  changed.reserve(response.size());
  for (const auto& [begin, end] : sentences) {
    changed.insert(changed.end(), response.begin() + begin, response.begin() + end);
  }
  std::copy(changed.begin(), changed.end(), response.begin());
}

}  // namespace

absl::StatusOr<Control> ParseControl(absl::string_view text) {
  Control control;
  absl::string_view k = text;
  if (text.empty()) {
    return control;
  }
  if (text == "shuffle") {
    control.kind = Control::Kind::kShuffle;
    return control;
  }
  if (text == "sentences") {
    control.kind = Control::Kind::kSentences;
    return control;
  }
  if (!absl::ConsumePrefix(&k, "k-let:") || !absl::SimpleAtoi(k, &control.k)) {
    return InvalidField("UNKNOWN_VALUE", "control", absl::StrCat("control: there is no '", text, "'"),
                        "give shuffle, sentences, or k-let:K, e.g. k-let:2");
  }
  if (control.k < 2 || control.k > kMaxK) {
    return InvalidField("OUT_OF_RANGE", "control",
                        absl::StrCat("control: K = ", control.k, " is not in 2..", kMaxK),
                        "give e.g. k-let:2; to keep single tokens only: shuffle");
  }
  control.kind = Control::Kind::kKLet;
  return control;
}

std::string ControlName(const Control& control) {
  switch (control.kind) {
    case Control::Kind::kNone:
      return "";
    case Control::Kind::kShuffle:
      return "shuffle";
    case Control::Kind::kKLet:
      return absl::StrCat("k-let:", control.k);
    case Control::Kind::kSentences:
      return "sentences";
  }
  return "";
}

absl::Status CheckSurvival(const Control& control, const ControlSurvival& survival) {
  if (control.kind != Control::Kind::kKLet) {
    return absl::OkStatus();
  }
  const GramSurvival& longest = survival.grams.back();
  if (longest.places > 0 && longest.Share() <= kMaxSurvival) {
    return absl::OkStatus();
  }
  const std::string text = absl::StrCat("control: ", ControlName(control), " on '", survival.split, "' (",
                                        survival.tokens, " tokens)");
  return InvalidField(
      "CONTROL_TOO_WEAK", "control",
      longest.places == 0
          ? absl::StrCat(text, ": too short to hold a ", longest.n, "-gram")
          : absl::StrFormat("%s: %.3f of the %d-grams are still those of the text, more than %.2f", text,
                            longest.Share(), longest.n, kMaxSurvival),
      absl::StrCat("give more text", survival.split == "valid" ? ", a larger --valid-share" : "",
                   control.k > 2 ? ", or a smaller K" : ", or use --control shuffle"));
}

ControlledSplit::ControlledSplit(Options options, Sink sink)
    : options_(std::move(options)),
      sink_(std::move(sink)),
      random_(SeedOfSplit(options_.seed, options_.split)) {
  survival_.split = options_.split;
  survival_.grams = SurvivalRows(options_.control);
}

std::vector<ControlledSplit::Response> ControlledSplit::FindResponses(
    absl::Span<const LabelledToken> document) const {
  std::vector<Response> responses;
  const auto moves = [&](size_t i) { return !options_.chat || (document[i].label & kResponse) != 0; };
  for (size_t i = 0; i < document.size(); ++i) {
    if (!moves(i)) {
      continue;
    }
    Response response{i, i};
    while (i < document.size() && moves(i) && document[i].token != options_.end_of_text) {
      ++i;
    }
    response.end = i;
    responses.push_back(response);
  }
  return responses;
}

absl::Status ControlledSplit::Add(absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels) {
  Document document;
  document.tokens.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    document.tokens.push_back({tokens[i], labels.empty() ? uint8_t{0} : labels[i]});
  }
  document.responses = FindResponses(document.tokens);
  for (const Response& response : document.responses) {
    block_.moving += static_cast<int64_t>(response.end - response.begin) + 1;
  }
  block_.documents.push_back(std::move(document));
  if (block_.moving < options_.block_tokens) {
    return absl::OkStatus();
  }
  std::swap(waiting_, block_);
  const Block full = std::exchange(block_, Block());
  return full.documents.empty() ? absl::OkStatus() : Flush(full);
}

absl::StatusOr<ControlSurvival> ControlledSplit::Finish() {
  for (Document& document : block_.documents) {
    waiting_.documents.push_back(std::move(document));
  }
  waiting_.moving += block_.moving;
  block_ = Block();
  RETURN_IF_ERROR(Flush(std::exchange(waiting_, Block())));
  return survival_;
}

absl::Status ControlledSplit::Flush(const Block& block) {
  std::vector<LabelledToken> text;
  text.reserve(static_cast<size_t>(block.moving));
  for (const Document& document : block.documents) {
    for (const Response& response : document.responses) {
      text.insert(text.end(), document.tokens.begin() + response.begin,
                  document.tokens.begin() + response.end);
      text.push_back({options_.end_of_text, 0});
    }
  }
  ASSIGN_OR_RETURN(const std::vector<LabelledToken> changed, Change(text));
  CountSurvival(text, changed, absl::MakeSpan(survival_.grams));
  survival_.blocks += 1;
  survival_.tokens += block.moving;
  return Emit(block, changed);
}

absl::StatusOr<std::vector<LabelledToken>> ControlledSplit::Change(const std::vector<LabelledToken>& text) {
  if (options_.control.kind == Control::Kind::kKLet) {
    return ShuffleKeepingGrams(text, options_.control.k, &random_);
  }
  std::vector<LabelledToken> changed = text;
  const absl::Span<LabelledToken> all = absl::MakeSpan(changed);
  for (size_t begin = 0, i = 0; i < all.size(); ++i) {
    if (all[i].token == options_.end_of_text) {
      ChangeResponse(all.subspan(begin, i - begin));
      begin = i + 1;
    }
  }
  return changed;
}

void ControlledSplit::ChangeResponse(absl::Span<LabelledToken> response) {
  if (options_.control.kind == Control::Kind::kShuffle) {
    random_.Shuffle(response);
  } else if (options_.control.kind == Control::Kind::kSentences) {
    ShuffleSentences(options_.sentence_marks, response, &random_);
  }
}

// The responses of `changed`, one after another, take the places of the block's.
absl::Status ControlledSplit::Emit(const Block& block, absl::Span<const LabelledToken> changed) {
  std::vector<int32_t> tokens;
  std::vector<uint8_t> labels;
  const auto add = [&](const LabelledToken& token) {
    tokens.push_back(token.token);
    labels.push_back(token.label);
  };
  size_t next = 0;
  for (const Document& document : block.documents) {
    tokens.clear();
    labels.clear();
    size_t done = 0;
    for (const Response& response : document.responses) {
      std::for_each(document.tokens.begin() + done, document.tokens.begin() + response.begin, add);
      for (; changed[next].token != options_.end_of_text; ++next) {
        add(changed[next]);
      }
      ++next;
      done = response.end;
    }
    std::for_each(document.tokens.begin() + done, document.tokens.end(), add);
    RETURN_IF_ERROR(sink_(tokens, labels));
  }
  return absl::OkStatus();
}

}  // namespace cherry::client
