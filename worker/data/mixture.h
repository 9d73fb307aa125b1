// The splits that data.train or data.valid name, as one run of windows: those of the first part, then those
// of the next.
#ifndef CHERRY_WORKER_DATA_MIXTURE_H_
#define CHERRY_WORKER_DATA_MIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "cherry/v1/worker.pb.h"
#include "worker/data/dataset.h"

namespace cherry::trainer {

// Thread-safe.
class SplitMixture {
 public:
  // Opens every part of `text` ("ko/train + en/train") among the attempt's datasets. Errors as
  // TokenWindows::Open's.
  static absl::StatusOr<std::unique_ptr<SplitMixture>> Open(const std::string& data_root,
                                                            const v1::StartAttempt& attempt,
                                                            const std::string& text, absl::string_view field);

  size_t parts() const { return parts_.size(); }
  const std::string& part_name(size_t part) const { return names_[part]; }
  // Windows first_window(p) to first_window(p + 1) - 1 are those of part p.
  int64_t first_window(size_t part) const { return first_[part]; }
  int64_t size() const { return first_.back(); }
  size_t PartOf(int64_t window) const;
  int64_t sequence_length() const { return parts_.front()->sequence_length(); }

  // The window of global sample `sample`: the parts take turns by their shares, always the one that is
  // furthest behind its own, and each is run through in the order that `seed` gives it, epoch after epoch.
  int64_t WindowOfSample(int64_t sample, int64_t seed) const;

  // As TokenWindows'.
  absl::Status OpenLabels();
  bool offers_labels() const;
  bool has_labels() const { return parts_.front()->has_labels(); }
  void Read(int64_t window, absl::Span<int64_t> out) const;
  absl::Status ReadLabels(int64_t window, absl::Span<uint8_t> out) const;
  absl::Status CheckHashes() const;

 private:
  SplitMixture() = default;
  void PlanTurns();
  std::vector<std::unique_ptr<TokenWindows>> parts_;
  std::vector<std::string> names_;
  std::vector<int64_t> first_ = {0};
  // A period of turns: whose each is, and how many it has had before in the period.
  struct Turn {
    size_t part = 0;
    int64_t before = 0;
  };
  std::vector<Turn> turns_;
  std::vector<int64_t> shares_;  // Turns of each part in a period.
};

}  // namespace cherry::trainer

#endif  // CHERRY_WORKER_DATA_MIXTURE_H_
