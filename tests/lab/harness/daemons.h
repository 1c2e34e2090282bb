// SPDX-License-Identifier: Apache-2.0
//
// The product's own programs beside a lab machine: lockhost-agent with this process's
// rights, lockhostd and lockhost-guestd as an unprivileged user.
#ifndef LOCKHOST_TESTS_LAB_HARNESS_DAEMONS_H_
#define LOCKHOST_TESTS_LAB_HARNESS_DAEMONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/lab/harness/child_process.h"
#include "tests/lab/harness/pages.h"
#include "tests/lab/harness/run_directory.h"

namespace lockhost::lab {

enum class Daemon { kAgent, kServer, kGrpcGuest, kDirectGuest };

// Used by one thread, which must live as long as the daemons are wanted.
class Daemons {
 public:
  // Nothing is started yet. `directory` must outlive this object.
  static absl::StatusOr<std::unique_ptr<Daemons>> Create(const RunDirectory* directory);
  // Ends all, in order.
  ~Daemons() { Stop(); }

  std::string agent_socket() const;

  absl::Status StartAgent();
  // Starts lockhostd, and waits until it serves VM `vm_id`.
  absl::Status StartServer(uint64_t vm_id);
  // Starts both guest agents of that VM and waits until both pages hold a lease.
  absl::Status StartGuests(const Pages& pages, uint64_t vm_id);

  // OK while all that were started run; else what became of the first that does not.
  absl::Status Check();
  bool Runs(Daemon daemon);
  // CPU time so far of the three that bring hints by gRPC.
  absl::StatusOr<uint64_t> CpuNs() const;
  void Stop();
  // SIGKILL, as a crash would; it is no longer watched.
  void Kill(Daemon daemon);

  // lockhost-guestd's counters (gRPC path): its stats file, as written last. NOT_FOUND:
  // not written yet.
  absl::StatusOr<std::map<std::string, uint64_t>> GuestStats() const;

 private:
  Daemons(const RunDirectory* directory, std::string server_dir, std::string guest_dir)
      : directory_(*directory),
        server_dir_(std::move(server_dir)),
        guest_dir_(std::move(guest_dir)) {}
  absl::Status Launch(Daemon daemon, ChildSpec spec);
  absl::Status AwaitThat(const std::function<bool()>& done, const std::string& what);
  absl::Status StartGuest(Daemon daemon, const Pages& pages, uint64_t vm_id);
  std::string VmSocket(uint64_t vm_id) const;
  std::string StatsFile() const;

  const RunDirectory& directory_;
  const std::string server_dir_;
  const std::string guest_dir_;
  std::map<Daemon, ChildProcess> running_;
};

// Parses the flat JSON object of counters that guestd writes. INVALID_ARGUMENT: it is
// something else.
absl::StatusOr<std::map<std::string, uint64_t>> ParseCounters(absl::string_view json);

}  // namespace lockhost::lab

#endif  // LOCKHOST_TESTS_LAB_HARNESS_DAEMONS_H_
