// SPDX-License-Identifier: Apache-2.0
#include "client/guest_agent/stats.h"

#include "absl/strings/str_cat.h"

namespace lockhost::guest_agent {
namespace {

void Append(std::string* json, const char* key, const std::atomic<uint64_t>& value) {
  absl::StrAppend(json, json->size() == 1 ? "\"" : ",\"", key, "\":", value.load());
}

}  // namespace

std::string Stats::ToJson() const {
  std::string json = "{";
  Append(&json, "connects", connects);
  Append(&json, "messages", messages);
  Append(&json, "snapshots", snapshots);
  Append(&json, "deltas", deltas);
  Append(&json, "heartbeats", heartbeats);
  Append(&json, "hints", hints);
  Append(&json, "resyncs", resyncs);
  Append(&json, "bad_messages", bad_messages);
  Append(&json, "dropped_vcpus", dropped_vcpus);
  Append(&json, "rings", rings);
  Append(&json, "reports", reports);
  Append(&json, "holder_reports", holder_reports);
  Append(&json, "reports_skipped", reports_skipped);
  return json + "}";
}

std::string ThreadStats::ToJson() const {
  std::string json = "{";
  Append(&json, "threads_processes", processes);
  Append(&json, "threads_granted", results[LOCKHOST_THREAD_RESULT_GRANTED]);
  Append(&json, "threads_bad_requests", results[LOCKHOST_THREAD_RESULT_BAD_REQUEST]);
  Append(&json, "threads_refused_already", results[LOCKHOST_THREAD_RESULT_ALREADY]);
  Append(&json, "threads_refused_too_many", results[LOCKHOST_THREAD_RESULT_TOO_MANY]);
  Append(&json, "threads_refused_no_peer", results[LOCKHOST_THREAD_RESULT_NO_PEER]);
  Append(&json, "threads_refused_no_memory", results[LOCKHOST_THREAD_RESULT_NO_MEMORY]);
  Append(&json, "threads_bound", bound);
  Append(&json, "threads_unreadable", unreadable);
  Append(&json, "threads_out_of_range", out_of_range);
  Append(&json, "threads_binds_failed", binds_failed);
  return json + "}";
}

}  // namespace lockhost::guest_agent
