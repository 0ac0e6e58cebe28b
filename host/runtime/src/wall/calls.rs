//! Which system calls a process has left.
//!
//! Owns two lists: what compiling needs, for the child, which has nothing else;
//! and what no part of a host ever needs, for a daemon, which has everything
//! else. A call that is refused fails as not permitted and ends nothing.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::{Standing, WallError};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Memory, threads, time and the three pipes.
const COMPILING: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    // Answered as unknown by a filter of its own.
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Looking into other processes, changing the kernel or its mounts, other
/// namespaces, keys of the kernel, clocks, and what goes around these rules.
const MEDDLING: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// On this architecture the kernel may know every call under a second number.
#[cfg(target_arch = "x86_64")]
const SECOND_NUMBERS: Option<i64> = Some(0x4000_0000);
#[cfg(not(target_arch = "x86_64"))]
const SECOND_NUMBERS: Option<i64> = None;

/// From now on this process computes, and talks on what it has open; it opens,
/// starts and signals nothing.
pub(crate) fn refuse_all_but_compiling() -> Result<Standing, WallError> {
    // Its arguments lie in memory, where no filter can look; who gets this
    // answer takes `clone`, whose flags are in the call.
    let unknown = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let first = program(
        unknown,
        SeccompAction::Allow,
        SeccompAction::Errno(errno(libc::ENOSYS)),
    )?;
    let mut rules: Rules = COMPILING.iter().map(|call| (*call, Vec::new())).collect();
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(
        libc::SYS_clone,
        only(0, Width::Qword, Is::MaskedEq(thread), thread)?,
    );
    let itself = u64::from(std::process::id());
    rules.insert(libc::SYS_tgkill, only(0, Width::Dword, Is::Eq, itself)?);
    let name = u64::from(libc::PR_SET_NAME.unsigned_abs());
    rules.insert(libc::SYS_prctl, only(0, Width::Dword, Is::Eq, name)?);
    // Asking for a limit, and not setting one.
    rules.insert(libc::SYS_prlimit64, only(2, Width::Qword, Is::Eq, 0)?);
    let second = program(rules, not_permitted(), SeccompAction::Allow)?;
    Ok(match apply(&first) {
        Standing::Whole => apply(&second),
        missing => missing,
    })
}

/// From now on this process, and what it starts, does not meddle with other
/// processes and the kernel.
pub fn refuse_meddling() -> Result<Standing, WallError> {
    let second = SECOND_NUMBERS.into_iter();
    let numbers = std::iter::once(0).chain(second);
    let all = numbers.flat_map(|second| MEDDLING.iter().map(move |call| call | second));
    let rules = all.map(|call| (call, Vec::new())).collect();
    Ok(apply(&program(rules, SeccompAction::Allow, not_permitted())?))
}

fn not_permitted() -> SeccompAction {
    SeccompAction::Errno(errno(libc::EPERM))
}

fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

/// The calls whose argument is so.
fn only(argument: u8, width: Width, is: Is, value: u64) -> Result<Vec<SeccompRule>, WallError> {
    SeccompCondition::new(argument, width, is, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map(|rule| vec![rule])
        .map_err(wrong)
}

fn program(rules: Rules, other: SeccompAction, these: SeccompAction) -> Result<BpfProgram, WallError> {
    let here = TargetArch::try_from(std::env::consts::ARCH).map_err(wrong)?;
    SeccompFilter::new(rules, other, these, here)
        .and_then(BpfProgram::try_from)
        .map_err(wrong)
}

fn apply(program: &BpfProgram) -> Standing {
    match seccompiler::apply_filter_all_threads(program) {
        Ok(()) => Standing::Whole,
        Err(_) => Standing::Missing,
    }
}

fn wrong(error: seccompiler::BackendError) -> WallError {
    WallError::Calls(error.to_string())
}
