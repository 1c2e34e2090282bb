// SPDX-License-Identifier: Apache-2.0
#include "agent/doctor/switch_signature.h"

#include <bpf/btf.h>

#include <memory>

#include "absl/strings/str_cat.h"

namespace lockhost::doctor {
namespace {

struct BtfFree {
  void operator()(btf* types) const { btf__free(types); }
};

// The tracepoint's function, behind the typedef of a pointer to it.
const btf_type* SwitchFunction(const btf& types) {
  const int id = btf__find_by_name_kind(&types, "btf_trace_sched_switch", BTF_KIND_TYPEDEF);
  if (id <= 0) return nullptr;
  const btf_type* pointer = btf__type_by_id(&types, btf__type_by_id(&types, id)->type);
  if (pointer == nullptr || !btf_is_ptr(pointer)) return nullptr;
  const btf_type* function = btf__type_by_id(&types, pointer->type);
  return function != nullptr && btf_is_func_proto(function) ? function : nullptr;
}

}  // namespace

absl::Status CheckSwitchSignature(const std::string& btf_directory) {
  const std::string path = absl::StrCat(btf_directory, "/vmlinux");
  const std::unique_ptr<btf, BtfFree> types(btf__parse(path.c_str(), nullptr));
  if (types == nullptr) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  const btf_type* function = SwitchFunction(*types);
  if (function == nullptr) return absl::NotFoundError("no tracepoint sched_switch");
  // The first argument is the tracepoint's own.
  if (btf_vlen(function) != 5) {
    return absl::FailedPreconditionError("sched_switch without prev_state");
  }
  const btf_type* last = btf__type_by_id(types.get(), btf_params(function)[4].type);
  if (last == nullptr || !btf_is_int(last)) {
    return absl::FailedPreconditionError("sched_switch with prev_state elsewhere than last");
  }
  return absl::OkStatus();
}

}  // namespace lockhost::doctor
