// The whole coordinator in one object: store, core, executor and edge.
#ifndef CHERRY_COORDINATOR_API_SERVER_H_
#define CHERRY_COORDINATOR_API_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/state.h"

namespace cherry::coordinator {

struct ServerOptions {
  std::string home;                       // CHERRY_HOME.
  std::string listen = "127.0.0.1:7070";  // Port 0 takes a free one.
  // Metrics, and on loopback the page; "none" for none. Port 0 takes a free one.
  std::string metrics_address = "127.0.0.1:7071";
  std::string page_address = "none";  // The page over TLS.
  std::string tls_cert;               // PEM files; all three or none.
  std::string tls_key;
  std::string tls_ca;
  std::string data_root;        // Empty: HOME/data.
  std::string checkpoint_root;  // Empty: HOME/checkpoints.
  Config config;                // Root ids are filled in.
};

// Thread-safe.
class Server {
 public:
  // Opens the store, restores, listens. Errors name the flag: PORT_TAKEN, TLS_REQUIRED, TOKEN_FILE_EXPOSED,
  // STORE_IN_USE, ...
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  virtual ~Server() = default;

  // The port it listens on.
  virtual int port() const = 0;
  // "127.0.0.1:7071", or "" for none.
  virtual std::string metrics_address() const = 0;
  virtual std::string page_address() const = 0;

  // Health goes to NOT_SERVING, streams are ended, calls under way are answered, everything is closed.
  virtual void Drain() = 0;
};

// The options as they will be used, or what is wrong with them. For tests of the rules alone.
absl::Status CheckOptions(const ServerOptions& options);

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_SERVER_H_
