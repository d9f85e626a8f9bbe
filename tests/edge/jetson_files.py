"""The files of two Jetsons as their systems write them, for a planted root: made up, in the true form."""

from __future__ import annotations

from pathlib import Path

MODES_NANO = """\
# This file lists the power modes of this board.
< PARAM TYPE=CLOCK NAME=GPU >
MAX_FREQ /sys/devices/platform/17000000.gpu/devfreq_dev/max_freq
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
GPU MAX_FREQ 612000000
< POWER_MODEL ID=1 NAME=25W >
GPU MAX_FREQ 918000000
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
GPU MAX_FREQ -1
# < POWER_MODEL ID=9 NAME=COMMENTED >
< PM_CONFIG DEFAULT=1 >
"""
MODES_AGX = "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=2 NAME=MODE_30W >\n< PM_CONFIG DEFAULT=2 >\n"
DPKG = """\
Package: libnvinfer10
Status: install ok installed
Architecture: arm64
Version: {version}
Description: TensorRT runtime libraries
 Package: not-this-one

Package: python3-libnvinfer
Status: deinstall ok config-files
Version: 10.0.0
"""
GPU = "sys/class/devfreq/17000000.gpu"
CPU0 = "sys/devices/system/cpu/cpu0/cpufreq"
OVER = "sys/class/hwmon/hwmon3"
ORIN_NANO = {  # JetPack 6.2 at 25 W, clocks free, zram only
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: "
    "Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
    "proc/meminfo": "MemTotal:        7802880 kB\nMemFree:         1000000 kB\nMemAvailable:    6100000 kB\n",
    "proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    "/dev/zram0                              partition\t650240\t\t1024\t\t5\n"
    "/dev/zram1                              partition\t650240\t\t0\t\t5\n",
    "proc/sys/kernel/sched_rt_runtime_us": "950000\n",
    "etc/group": "root:x:0:\ndialout:x:20:\nvideo:x:44:robot\nrender:x:104:\n",
    "etc/nvpmodel.conf": MODES_NANO,
    "var/lib/nvpmodel/status": "pmode:0001\n",
    "var/lib/dpkg/status": DPKG.format(version="10.3.0.30-1+cuda12.5"),
    f"{GPU}/min_freq": "306000000\n",
    f"{GPU}/max_freq": "918000000\n",
    f"{GPU}/cur_freq": "306000000\n",
    "sys/class/devfreq/15340000.vic/max_freq": "729600000\n",
    f"{CPU0}/scaling_min_freq": "729600\n",
    f"{CPU0}/scaling_max_freq": "1344000\n",
    f"{CPU0}/scaling_cur_freq": "883200\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "47875\n",
    "sys/class/thermal/thermal_zone2/type": "cv0-thermal\n",  # switched off: its temp cannot be read
    "sys/class/thermal/cooling_device0/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "gpu-throttle-alert\n",
    "sys/class/thermal/cooling_device1/cur_state": "0\n",
    f"{OVER}/name": "soctherm_oc\n",
    f"{OVER}/oc1_event_cnt": "0\n",
    f"{OVER}/oc3_event_cnt": "5\n",
}
AGX_ORIN = {  # JetPack 7.2 without a limit, clocks locked, a swap file, a PREEMPT_RT kernel
    **ORIN_NANO,
    "etc/nv_tegra_release": "# R39 (release), REVISION: 2.1, GCID: 46758480, BOARD: generic, EABI: aarch64, DATE: "
    "Fri Aug  7 05:54:22 AM UTC 2026\n# KERNEL_VARIANT: oot\n",
    "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
    "proc/meminfo": "MemTotal:       64300000 kB\nMemAvailable:   60000000 kB\n",
    "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/swapfile file\t16777212\t0\t-2\n",
    "sys/kernel/realtime": "1\n",
    "etc/nvpmodel.conf": MODES_AGX,
    "var/lib/nvpmodel/status": "pmode:0000\n",
    "var/lib/dpkg/status": DPKG.format(version="10.16.2.10-1+cuda13.2"),
    "usr/lib/aarch64-linux-gnu/nvidia/libnvdla_compiler.so": "ELF",
    f"{GPU}/min_freq": "1300500000\n",
    f"{GPU}/max_freq": "1300500000\n",
    f"{GPU}/cur_freq": "1300500000\n",
    f"{CPU0}/scaling_min_freq": "2201600\n",
    f"{CPU0}/scaling_max_freq": "2201600\n",
}


def plant(root: Path, files: dict[str, str]) -> Path:
    """Writes them under a root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
