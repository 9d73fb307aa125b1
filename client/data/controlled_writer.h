// A SplitWriter whose documents pass a control on their way, where there is one.
//
// Not thread-safe.
#ifndef CHERRY_CLIENT_DATA_CONTROLLED_WRITER_H_
#define CHERRY_CLIENT_DATA_CONTROLLED_WRITER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/data/control.h"
#include "client/data/split_writer.h"
#include "client/tokenizer/tokenizer_cc.h"

namespace cherry::client {

class ControlledWriter {
 public:
  struct Options {
    std::string directory;  // See SplitWriter::Create.
    std::string name;
    bool labelled = false;
    bool chat = false;  // Only what an assistant says is changed.
    Control control;    // kNone hands every document on as it comes.
    int64_t seed = 1;
    int32_t end_of_text = 2;
  };
  // The tokenizer is that of the documents; it is not kept.
  static absl::StatusOr<std::unique_ptr<ControlledWriter>> Create(const Options& options,
                                                                  const Tokenizer& tokenizer);

  // See SplitWriter::Add. REQUIRES: under a control, as many labels as tokens or none.
  absl::Status Add(absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels);
  // Refuses what CheckSurvival refuses.
  absl::StatusOr<v1::Split> Finish();
  // After Finish; nothing without a control.
  const std::optional<ControlSurvival>& survival() const { return survival_; }

 private:
  ControlledWriter(std::unique_ptr<SplitWriter> writer, const Control& control)
      : control_(control), writer_(std::move(writer)) {}
  const Control control_;
  const std::unique_ptr<SplitWriter> writer_;
  std::optional<ControlledSplit> controlled_;
  std::optional<ControlSurvival> survival_;
};

// Adds every document of ready-made token files, with its labels where `prefix`.labels is there.
absl::Status CopyDocuments(const std::string& prefix, ControlledWriter* writer);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_CONTROLLED_WRITER_H_
