#include "worker/data/mixture.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/spec.h"
#include "common/status.h"
#include "worker/data/permutation.h"

namespace cherry::trainer {

absl::StatusOr<std::unique_ptr<SplitMixture>> SplitMixture::Open(const std::string& data_root,
                                                                 const v1::StartAttempt& attempt,
                                                                 const std::string& text,
                                                                 absl::string_view field) {
  std::unique_ptr<SplitMixture> mixture(new SplitMixture);
  for (const std::string& part : SplitParts(text)) {
    const auto dataset =
        std::find_if(attempt.datasets().begin(), attempt.datasets().end(),
                     [&](const v1::Dataset& candidate) { return candidate.name() == DatasetOfPart(part); });
    if (dataset == attempt.datasets().end()) {
      return absl::InternalError(absl::StrCat("the attempt has no dataset for '", part, "'"));
    }
    ASSIGN_OR_RETURN(
        std::unique_ptr<TokenWindows> windows,
        TokenWindows::Open(data_root, *dataset, part, field, attempt.spec().train().sequence_length()));
    mixture->first_.push_back(mixture->first_.back() + windows->size());
    mixture->parts_.push_back(std::move(windows));
    mixture->names_.push_back(part);
  }
  ASSIGN_OR_RETURN(mixture->shares_, PartShares(text, field));
  mixture->PlanTurns();
  return mixture;
}

void SplitMixture::PlanTurns() {
  const int64_t period = std::accumulate(shares_.begin(), shares_.end(), int64_t{0});
  std::vector<int64_t> had(shares_.size(), 0);
  for (int64_t turn = 1; turn <= period; ++turn) {
    size_t next = 0;
    for (size_t part = 1; part < shares_.size(); ++part) {
      const auto behind = [&](size_t one) { return shares_[one] * turn - had[one] * period; };
      next = behind(part) > behind(next) ? part : next;
    }
    turns_.push_back({next, had[next]++});
  }
}

size_t SplitMixture::PartOf(int64_t window) const {
  return static_cast<size_t>(std::upper_bound(first_.begin(), first_.end(), window) - first_.begin() - 1);
}

int64_t SplitMixture::WindowOfSample(int64_t sample, int64_t seed) const {
  const auto period = static_cast<int64_t>(turns_.size());
  const auto& [part, before] = turns_[static_cast<size_t>(sample % period)];
  const int64_t number = sample / period * shares_[part] + before;
  return first_[part] + trainer::WindowOfSample(number, parts_[part]->size(), seed);
}

absl::Status SplitMixture::OpenLabels() {
  for (const std::unique_ptr<TokenWindows>& part : parts_) {
    RETURN_IF_ERROR(part->OpenLabels());
  }
  return absl::OkStatus();
}

bool SplitMixture::offers_labels() const {
  return std::all_of(parts_.begin(), parts_.end(), [](const auto& part) { return part->offers_labels(); });
}

void SplitMixture::Read(int64_t window, absl::Span<int64_t> out) const {
  const size_t part = PartOf(window);
  parts_[part]->Read(window - first_[part], out);
}

absl::Status SplitMixture::ReadLabels(int64_t window, absl::Span<uint8_t> out) const {
  const size_t part = PartOf(window);
  return parts_[part]->ReadLabels(window - first_[part], out);
}

absl::Status SplitMixture::CheckHashes() const {
  for (const std::unique_ptr<TokenWindows>& part : parts_) {
    RETURN_IF_ERROR(part->CheckHashes());
  }
  return absl::OkStatus();
}

}  // namespace cherry::trainer
