// SPDX-License-Identifier: Apache-2.0
#include "server/flags.h"

#include <cstdint>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/marshalling.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "server/service/admin_access.h"

namespace lockhost::server {

// What --help shows as the default.
constexpr char kAsConfigured[] = "(as configured)";

// A flag that knows whether it was given, since it then overrides the configuration.
// absl's own optional flags take an empty text for "not given"; --metrics-address= is one.
template <typename T>
struct Given {
  absl::optional<T> value;
  std::string text = kAsConfigured;
};

template <typename T>
bool AbslParseFlag(absl::string_view text, Given<T>* flag, std::string* error) {
  if (text == kAsConfigured) return true;
  T value{};
  if (!absl::ParseFlag(text, &value, error)) return false;
  flag->value = std::move(value);
  flag->text = std::string(text);
  return true;
}

template <typename T>
std::string AbslUnparseFlag(const Given<T>& flag) {
  return flag.text;
}

}  // namespace lockhost::server

using lockhost::server::Given;

ABSL_FLAG(std::string, config, "", "configuration file; SIGHUP reads it again; flags override it");
ABSL_FLAG(Given<std::string>, agent_socket, {}, "unix socket of lockhost-agent");
ABSL_FLAG(Given<std::string>, run_dir, {}, "directory of admin.sock and of vm/<id>.sock");
ABSL_FLAG(Given<std::string>, socket_mode, {}, "permissions of the sockets, octal");
ABSL_FLAG(Given<std::string>, admin_group, {},
          "group that may use admin.sock, besides root; empty: lockhostd's own");
ABSL_FLAG(Given<std::string>, metrics_address, {},
          "where Prometheus may scrape /metrics; empty: nowhere");
ABSL_FLAG(Given<absl::Duration>, lease, {},
          "how long guests believe the last hints when nothing more comes");
ABSL_FLAG(Given<absl::Duration>, heartbeat, {}, "time between heartbeats");
ABSL_FLAG(Given<absl::Duration>, poll_interval, {},
          "time between looks at the tables under demand, where there is no hint ring");
ABSL_FLAG(Given<uint32_t>, max_streams, {}, "WatchHints, and ReportHolders, streams of one VM");
ABSL_FLAG(Given<uint32_t>, vsock_port, {}, "AF_VSOCK port for the guests; 0: none");

namespace lockhost::server {
namespace {

// Out of range stays out of range.
uint32_t WholeMs(absl::Duration duration) {
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  return ms < 0 || ms > UINT32_MAX ? UINT32_MAX : static_cast<uint32_t>(ms);
}

void Override(Config* config) {
  const auto take = [](const auto& flag, const auto& set) {
    if (const auto given = absl::GetFlag(flag).value) set(*given);
  };
  take(FLAGS_agent_socket, [config](const auto& v) { config->set_agent_socket(v); });
  take(FLAGS_run_dir, [config](const auto& v) { config->set_run_dir(v); });
  take(FLAGS_socket_mode, [config](const auto& v) { config->set_socket_mode(v); });
  take(FLAGS_admin_group, [config](const auto& v) { config->set_admin_group(v); });
  take(FLAGS_metrics_address, [config](const auto& v) { config->set_metrics_address(v); });
  take(FLAGS_lease, [config](const auto& v) { config->set_lease_ms(WholeMs(v)); });
  take(FLAGS_heartbeat, [config](const auto& v) { config->set_heartbeat_ms(WholeMs(v)); });
  take(FLAGS_poll_interval, [config](const auto& v) { config->set_poll_interval_ms(WholeMs(v)); });
  take(FLAGS_vsock_port, [config](const auto& v) { config->set_vsock_port(v); });
  take(FLAGS_max_streams, [config](const auto& v) { config->set_max_streams(v); });
}

}  // namespace

absl::StatusOr<Config> LoadConfig() {
  Config config;
  if (const std::string path = absl::GetFlag(FLAGS_config); !path.empty()) {
    absl::StatusOr<Config> file = ReadConfig(path);
    if (!file.ok()) return file.status();
    config = *std::move(file);
  }
  Override(&config);
  // Once more: what the flags say is to keep to the same rules.
  if (absl::Status sound = CheckConfig(config); !sound.ok()) return sound;
  if (!config.admin_group().empty()) {
    const absl::StatusOr<gid_t> group = FindGroup(config.admin_group());
    if (!group.ok()) {
      return absl::Status(group.status().code(),
                          absl::StrCat("admin_group: ", group.status().message()));
    }
  }
  return config;
}

}  // namespace lockhost::server
