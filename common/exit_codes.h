// Exit codes of cherry-trainer, clear of the shell's and of signals, so that schedulers can map them.
#ifndef CHERRY_COMMON_EXIT_CODES_H_
#define CHERRY_COMMON_EXIT_CODES_H_

namespace cherry {

enum ExitCode : int {
  kExitDone = 0,          // Finished what it was asked for.
  kExitUser = 64,         // Configuration, data or code of the job.
  kExitOutOfMemory = 65,  // The allocator refused.
  kExitHardware = 66,     // The device reported an error.
  kExitPeerLost = 67,     // A collective failed: another rank went away.
  kExitIo = 68,           // Disk full or unreadable.
  kExitResume = 75,       // Stopped on request after a checkpoint: start it again to go on.
};

}  // namespace cherry

#endif  // CHERRY_COMMON_EXIT_CODES_H_
