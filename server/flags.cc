// SPDX-License-Identifier: Apache-2.0
#include "server/flags.h"

#include <sys/random.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

ABSL_FLAG(std::string, agent_socket, "/run/lockhost-agent/agent.sock",
          "unix socket of lockhost-agent");
ABSL_FLAG(std::string, run_dir, "/run/lockhost",
          "directory of admin.sock and of vm/<id>.sock, one for each VM");
ABSL_FLAG(std::string, socket_mode, "0660", "permissions of the sockets, octal");
ABSL_FLAG(std::string, metrics_address, "127.0.0.1:9464",
          "where Prometheus may scrape /metrics; empty: nowhere");
ABSL_FLAG(absl::Duration, lease, absl::Seconds(3),
          "how long guests believe the last hints when nothing more comes");
ABSL_FLAG(absl::Duration, heartbeat, absl::Seconds(1), "time between heartbeats");
ABSL_FLAG(absl::Duration, poll_interval, absl::Milliseconds(4),
          "time between looks at the tables under demand, where there is no hint ring");
ABSL_FLAG(uint32_t, max_streams, 8, "WatchHints streams, and ReportHolders streams, of one VM");

namespace lockhost::server {
namespace {

absl::StatusOr<mode_t> SocketMode() {
  const std::string text = absl::GetFlag(FLAGS_socket_mode);
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc() || end != text.data() + text.size() || mode > 0777) {
    return absl::InvalidArgumentError("--socket-mode must be octal permissions, e.g. 0660");
  }
  return mode;
}

absl::StatusOr<uint64_t> Ns(const absl::Flag<absl::Duration>& flag, const char* name,
                            absl::Duration least, absl::Duration most) {
  const absl::Duration value = absl::GetFlag(flag);
  if (value >= least && value <= most) return absl::ToInt64Nanoseconds(value);
  return absl::InvalidArgumentError(absl::StrCat("--", name, " must be from ",
                                                 absl::FormatDuration(least), " to ",
                                                 absl::FormatDuration(most)));
}

absl::StatusOr<uint64_t> RandomWord() {
  uint64_t word = 0;
  if (getrandom(&word, sizeof(word), 0) == sizeof(word)) return word;
  return absl::ErrnoToStatus(errno, "getrandom");
}

absl::StatusOr<PublisherCore::Options> PublisherOptions() {
  const auto lease_ns = Ns(FLAGS_lease, "lease", absl::Milliseconds(100), absl::Seconds(60));
  if (!lease_ns.ok()) return lease_ns.status();
  const auto heartbeat_ns =
      Ns(FLAGS_heartbeat, "heartbeat", absl::Milliseconds(10), absl::GetFlag(FLAGS_lease) / 2);
  if (!heartbeat_ns.ok()) return heartbeat_ns.status();
  const auto poll_ns =
      Ns(FLAGS_poll_interval, "poll-interval", absl::Milliseconds(1), absl::Seconds(1));
  if (!poll_ns.ok()) return poll_ns.status();
  const auto instance = RandomWord();
  if (!instance.ok()) return instance.status();
  PublisherCore::Options options;
  options.timing = {.lease_ns = *lease_ns,
                    .heartbeat_ns = *heartbeat_ns,
                    .heartbeat_slack_ns = *heartbeat_ns / 5};
  options.poll_interval_ns = *poll_ns;
  options.instance = *instance;
  return options;
}

}  // namespace

absl::StatusOr<Daemon::Options> OptionsFromFlags() {
  const auto mode = SocketMode();
  if (!mode.ok()) return mode.status();
  const auto publisher = PublisherOptions();
  if (!publisher.ok()) return publisher.status();
  if (absl::GetFlag(FLAGS_max_streams) == 0) {
    return absl::InvalidArgumentError("--max-streams must be above 0");
  }
  Daemon::Options options;
  options.agent_socket = absl::GetFlag(FLAGS_agent_socket);
  options.run_dir = absl::GetFlag(FLAGS_run_dir);
  options.socket_mode = *mode;
  options.metrics_address = absl::GetFlag(FLAGS_metrics_address);
  options.version = LOCKHOST_VERSION;
  options.publisher = *publisher;
  options.vm.socket_mode = *mode;
  options.vm.max_streams = absl::GetFlag(FLAGS_max_streams);
  return options;
}

}  // namespace lockhost::server
