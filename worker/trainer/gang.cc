#include "worker/trainer/gang.h"

#include <utility>

#include "common/status.h"
#include "worker/parallel/gloo_collective.h"

namespace cherry::trainer {
namespace {

constexpr absl::Duration kDefaultRendezvousTimeout = absl::Seconds(60);
// The worker gives up on a coordinator that is away much sooner.
constexpr absl::Duration kCommitTimeout = absl::Hours(24 * 7);

absl::Duration RendezvousTimeout(const v1::StartAttempt& attempt) {
  const absl::Duration given = absl::Seconds(attempt.rendezvous_timeout().seconds()) +
                               absl::Nanoseconds(attempt.rendezvous_timeout().nanos());
  return given > absl::ZeroDuration() ? given : kDefaultRendezvousTimeout;
}

}  // namespace

absl::StatusOr<Gang> FormGang(const v1::StartRank& start, const Device& device, Rendezvous* rendezvous) {
  Gang gang;
  gang.rank = start.rank();
  gang.world_size = start.attempt().world_size();
  if (gang.world_size == 1) {
    gang.control = MakeSingleRank();
    gang.gradients = MakeSingleRank();
    gang.checkpoint = MakeSingleRank();
    return gang;
  }
  GlooOptions options;
  options.rank = gang.rank;
  options.world_size = gang.world_size;
  options.address = start.collective_address().empty() ? "127.0.0.1" : start.collective_address();
  options.rendezvous_timeout = RendezvousTimeout(start.attempt());
  options.context = "control";
  ASSIGN_OR_RETURN(gang.control, MakeGloo(options, rendezvous));
  if (device.cuda != nullptr) {
    ASSIGN_OR_RETURN(gang.gradients, MakeDeviceCollective(device, gang.rank, gang.world_size, rendezvous,
                                                          absl::Now() + options.rendezvous_timeout));
  } else {
    options.context = "gradients";
    ASSIGN_OR_RETURN(gang.gradients, MakeGloo(options, rendezvous));
  }
  options.context = "checkpoint";
  options.timeout = kCommitTimeout;
  ASSIGN_OR_RETURN(gang.checkpoint, MakeGloo(options, rendezvous));
  return gang;
}

}  // namespace cherry::trainer
