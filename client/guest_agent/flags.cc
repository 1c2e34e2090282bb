// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/flags.h"

#include <unistd.h>

#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

ABSL_FLAG(std::string, host, "unix:/run/lockhost-guest/host.sock",
          "gRPC target of the host's hint service");
ABSL_FLAG(std::string, tls_ca, "",
          "CA of the host's certificate, PEM; with it, --host is reached by TLS");
ABSL_FLAG(std::string, tls_cert, "", "this guest's certificate, PEM");
ABSL_FLAG(std::string, tls_key, "", "key of this guest's certificate, PEM");
ABSL_FLAG(std::string, page_socket, "/run/lockhost-guest/pages.sock",
          "where applications get the pages, which are sealed memory");
ABSL_FLAG(std::string, hint_page, "",
          "file of the hint page, made if it is missing, in place of what the socket gives");
ABSL_FLAG(std::string, report_page, "", "file of the report page, likewise");
ABSL_FLAG(std::string, path, "grpc",
          "grpc: write the slots from the stream; direct-map: the VM sees the host's own table, "
          "write only the lease");
ABSL_FLAG(uint32_t, slots, 256, "slots (highest APIC id + 1) of pages that are made new");
ABSL_FLAG(absl::Duration, backoff_first, absl::Milliseconds(100),
          "most to wait before the first attempt to reconnect; doubles with each failure");
ABSL_FLAG(absl::Duration, backoff_last, absl::Seconds(10),
          "most to wait between two attempts to reconnect");
ABSL_FLAG(absl::Duration, lease, absl::Seconds(10),
          "longest time without a word from the host for which hints are believed");
ABSL_FLAG(std::string, threads, "auto",
          "auto: where the kernel lets this program, processes get to know which of their threads "
          "run; off: they do not");
ABSL_FLAG(std::string, stats_file, "", "write the counters there at exit, one line of JSON");

namespace lockhost::guest_agent {
namespace {

absl::StatusOr<uint64_t> PositiveNs(const absl::Flag<absl::Duration>& flag, const char* name) {
  const int64_t ns = absl::ToInt64Nanoseconds(absl::GetFlag(flag));
  if (ns > 0 && ns < absl::ToInt64Nanoseconds(absl::Hours(1))) return ns;
  return absl::InvalidArgumentError(absl::StrCat("--", name, " must be above 0 and below 1h"));
}

absl::StatusOr<lockhost_page_path> PathFlag() {
  const std::string path = absl::GetFlag(FLAGS_path);
  if (path == "grpc") return LOCKHOST_PAGE_PATH_GRPC;
  if (path == "direct-map") return LOCKHOST_PAGE_PATH_DIRECT_MAP;
  return absl::InvalidArgumentError("--path must be grpc or direct-map");
}

// What is not a socket of this machine goes over a network, and needs TLS.
absl::StatusOr<TlsFiles> TlsFlags(const std::string& host) {
  TlsFiles files = {absl::GetFlag(FLAGS_tls_ca), absl::GetFlag(FLAGS_tls_cert),
                    absl::GetFlag(FLAGS_tls_key)};
  const bool none = files.ca.empty() && files.certificate.empty() && files.key.empty();
  const bool all = !files.ca.empty() && !files.certificate.empty() && !files.key.empty();
  if (!none && !all) {
    return absl::InvalidArgumentError("--tls-ca, --tls-cert and --tls-key go together");
  }
  const bool is_local = absl::StartsWith(host, "unix:") || absl::StartsWith(host, "unix-abstract:");
  if (is_local == none) return files;
  return absl::InvalidArgumentError(none
                                        ? "--host is no unix socket: it needs --tls-ca, "
                                          "--tls-cert and --tls-key"
                                        : "--host is a unix socket, which has no use for --tls-ca");
}

}  // namespace

absl::StatusOr<GuestAgent::Options> OptionsFromFlags() {
  const auto first_ns = PositiveNs(FLAGS_backoff_first, "backoff-first");
  if (!first_ns.ok()) return first_ns.status();
  const auto last_ns = PositiveNs(FLAGS_backoff_last, "backoff-last");
  if (!last_ns.ok()) return last_ns.status();
  const auto lease_ns = PositiveNs(FLAGS_lease, "lease");
  if (!lease_ns.ok()) return lease_ns.status();
  const auto path = PathFlag();
  if (!path.ok()) return path.status();
  const std::string host = absl::GetFlag(FLAGS_host);
  auto tls = TlsFlags(host);
  if (!tls.ok()) return tls.status();
  const uint32_t slots = absl::GetFlag(FLAGS_slots);
  if (slots == 0 || slots > LOCKHOST_MAX_SLOTS) {
    return absl::InvalidArgumentError(absl::StrCat("--slots must be 1 to ", LOCKHOST_MAX_SLOTS));
  }
  if (absl::GetFlag(FLAGS_hint_page).empty() != absl::GetFlag(FLAGS_report_page).empty()) {
    return absl::InvalidArgumentError("--hint-page and --report-page go together");
  }
  GuestAgent::Options options;
  options.host.target = host;
  options.host.tls = *std::move(tls);
  options.host.agent_version = LOCKHOST_VERSION;
  options.host.backoff = {.first_ceiling_ns = *first_ns, .last_ceiling_ns = *last_ns};
  options.host.seed = absl::ToUnixNanos(absl::Now()) ^ static_cast<uint64_t>(getpid()) << 32;
  options.hint_page = absl::GetFlag(FLAGS_hint_page);
  options.report_page = absl::GetFlag(FLAGS_report_page);
  options.slots = slots;
  options.path = *path;
  options.receiver.longest_lease_ns = *lease_ns;
  return options;
}

absl::StatusOr<bool> ThreadsFlag() {
  const std::string threads = absl::GetFlag(FLAGS_threads);
  if (threads == "auto") return true;
  if (threads == "off") return false;
  return absl::InvalidArgumentError("--threads must be auto or off");
}

std::string PageSocket() { return absl::GetFlag(FLAGS_page_socket); }

std::string StatsFile() { return absl::GetFlag(FLAGS_stats_file); }

}  // namespace lockhost::guest_agent
