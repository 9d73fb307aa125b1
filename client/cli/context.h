// What every command shares: the flags before and after any command, the connection, the output.
//
// A command is registered with AddCommand and returns a Status; the program prints it and takes the exit code
// from it. Commands write to out(), never to std::cout, and progress to err(). Not thread-safe.
#ifndef CHERRY_CLIENT_CLI_CONTEXT_H_
#define CHERRY_CLIENT_CLI_CONTEXT_H_

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/rpc/client.h"
#include "google/protobuf/message.h"

namespace CLI {
class App;
}

namespace cherry::client {

// Exit codes of `cherry`.
enum Exit : int {
  kExitOk = 0,
  kExitJobFailed = 1,    // Also: what was to be checked is damaged, and anything unforeseen.
  kExitInvalid = 2,      // The request is wrong.
  kExitUnreachable = 3,  // No coordinator.
  kExitNotFound = 4,
  kExitRefused = 5,  // Permission, quota.
  kExitTimedOut = 6,
  kExitCancelled = 7,
};

// kInvalidArgument, kFailedPrecondition, kAlreadyExists, ... -> 2; kUnavailable -> 3; kNotFound -> 4;
// kPermissionDenied, kUnauthenticated, kResourceExhausted -> 5; kDeadlineExceeded -> 6; kCancelled -> 7;
// else 1.
int ExitCodeOf(const absl::Status& status);

// Reason of the status of a wait that the user has left: the job goes on, so that is no error to report as
// one.
inline constexpr char kDetached[] = "DETACHED";

// "error: what" and its remedy, at most three lines, ending in a newline.
std::string FormatError(const absl::Status& status);

enum class Output { kTable, kWide, kJson, kYaml, kName, kSpec, kCsv };

// In CHERRY_HOME: HOST:PORT of the cluster that `cherry local` runs there.
inline constexpr char kLocalAddressFile[] = "/local.address";

struct GlobalFlags;

using ClientFactory = std::function<absl::StatusOr<std::unique_ptr<Client>>(const ClientOptions&)>;

class Context {
 public:
  // `out` and `err` are not owned. `terminal`: out is one, so colours, bars and redrawing are welcome.
  Context(std::ostream* out, std::ostream* err, bool terminal, ClientFactory factory = &NewClient);
  ~Context();

  // --coordinator, --home, --namespace, --output, --timeout, --request-id, --token-file, --tls-*.
  void AddGlobalOptions(CLI::App& app);

  // The connection, made on first use. Owned by the context.
  absl::StatusOr<Client*> Connect();
  // Another one, to the cluster of this home at `address`, that gives up after `timeout` and says nothing
  // meanwhile.
  absl::StatusOr<std::unique_ptr<Client>> ConnectTo(const std::string& address, absl::Duration timeout) const;

  std::ostream& out() { return *out_; }
  std::ostream& err() { return *err_; }
  bool terminal() const { return terminal_; }
  // Of the terminal, in columns; 100 where there is none.
  int width() const;

  // --home, else CHERRY_HOME, else ~/.cherry; absolute.
  std::string home() const;
  std::string data_root() const { return home() + "/data"; }
  std::string checkpoint_root() const { return home() + "/checkpoints"; }

  const std::string& ns() const { return ns_; }
  // -n was given: lists are of that namespace instead of all.
  bool ns_given() const { return ns_given_; }
  Output output() const { return output_; }
  // json or yaml: machine-readable, so no other line may go to out().
  bool structured() const { return output_ == Output::kJson || output_ == Output::kYaml; }
  absl::Duration timeout() const { return timeout_; }
  // Only where --timeout was given: the deadline of waits and watches, infinite otherwise.
  absl::Time WaitDeadline() const;
  bool request_id_given() const { return !request_id_.empty(); }
  // --request-id, else a new UUID for each call of this function.
  std::string RequestId() const;

  // "JOB" or "NAMESPACE/JOB" as `namespaces/{ns}/jobs/{job}`.
  absl::StatusOr<std::string> JobResource(absl::string_view text) const;

  // The message in the format of --output (json, yaml).
  absl::Status Print(const google::protobuf::Message& message);
  // {"items": [...]}; messages are not owned.
  absl::Status PrintItems(const std::vector<const google::protobuf::Message*>& items);

  // Path of a program beside this one, e.g. "cherry-trainer".
  static absl::StatusOr<std::string> ProgramBeside(absl::string_view name);

  // The outcome of the command that ran; set through AddCommand.
  const absl::Status& result() const { return result_; }
  void set_result(absl::Status status) { result_ = std::move(status); }
  // For an outcome that has been told already: nothing more is printed, and this is the exit code.
  void set_exit_code(int code) { exit_code_ = code; }
  std::optional<int> exit_code() const { return exit_code_; }

 private:
  friend CLI::App* AddCommand(CLI::App& parent, Context* context, const std::string& name,
                              const std::string& description, const std::string& example,
                              std::function<absl::Status()> run);
  // Makes the values below of the parsed flags and the environment.
  absl::Status ResolveOptions();
  // Of the cluster that `cherry local` runs with this home.
  std::optional<std::string> LocalAddress() const;

  std::ostream* const out_;
  std::ostream* const err_;
  const bool terminal_;
  const ClientFactory factory_;
  const std::unique_ptr<GlobalFlags> flags_;
  std::unique_ptr<Client> client_;
  ClientOptions client_options_;
  std::string home_;
  std::string ns_ = "default";
  bool ns_given_ = false;
  Output output_ = Output::kTable;
  absl::Duration timeout_ = absl::Seconds(30);
  bool timeout_given_ = false;
  std::string request_id_;
  absl::Status result_;
  std::optional<int> exit_code_;
};

// A command below `parent`: add its options to what is returned. `example` is a whole command line, shown by
// --help. `run` is called when the command line has been parsed and may keep references only to what outlives
// the parse (make options a shared_ptr captured by `run`). Returns a pointer owned by `parent`.
CLI::App* AddCommand(CLI::App& parent, Context* context, const std::string& name,
                     const std::string& description, const std::string& example,
                     std::function<absl::Status()> run);

// A command that only has sub-commands, e.g. `cherry data`.
CLI::App* AddGroup(CLI::App& parent, const std::string& name, const std::string& description,
                   const std::string& example);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_CONTEXT_H_
