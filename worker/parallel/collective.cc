#include "worker/parallel/collective.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry::trainer {
namespace {

class SingleRank final : public Collective {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  absl::Status AllReduceSum(absl::Span<float>) override { return absl::OkStatus(); }
  absl::Status AllReduceSum(absl::Span<double>) override { return absl::OkStatus(); }
  absl::Status Broadcast(absl::Span<char>, int) override { return absl::OkStatus(); }
  absl::Status Barrier() override { return absl::OkStatus(); }
  void Start(absl::Span<float>) override {}
  absl::Status Wait() override { return absl::OkStatus(); }
};

}  // namespace

std::unique_ptr<Collective> MakeSingleRank() { return std::make_unique<SingleRank>(); }

absl::Status PeerLost(absl::string_view what) {
  return Error(absl::StatusCode::kUnavailable, "PEER_LOST", "", absl::StrCat("another rank was lost: ", what),
               "the attempt starts again from its last checkpoint");
}

}  // namespace cherry::trainer
