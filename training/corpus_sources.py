"""Where the corpus comes from, as data: Debian packages, who speaks, what sounds, under which licence.

Talkers and recordings never cross splits. Traps that this table avoids: the English and Spanish Asterisk
prompts are the same woman; the Danish klettres, ktuberling and tuxpaint talker is one man; `silence/` holds
no speech; the French, Spanish, Catalan and Bulgarian tuxpaint voices are noisy, clipped or gated, so only
ro, ru, da and be are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

# left out by --small: half of the bytes
LARGE_PACKAGES = ("tuxpaint-stamps-default", "megaglest-data", "flare-game")

LICENCES = {
    "festvox-ru": "BSD-like",
    "asterisk-core-sounds-en-g722": "CC-BY-SA-3.0",
    "asterisk-core-sounds-es-g722": "CC-BY-SA-3.0",
    "asterisk-core-sounds-fr-g722": "CC-BY-SA-3.0",
    "asterisk-core-sounds-ru-g722": "CC-BY-3.0",
    "asterisk-core-sounds-it-g722": "CC-BY-3.0",
    "fillets-ng-data-cs": "GPL-2",
    "tuxpaint-stamps-default": "GPL-2",
    "klettres-data": "GPL-2+",
    "ktuberling-data": "GPL-2+",
    "megaglest-data": "CC-BY-SA-3.0",
    "btanks-data": "GPL-2 with the Battle Tanks exception",
    "lincity-ng-data": "GPL-2+",
    "scorched3d-data": "GPL-2+",
    "lugaru-data": "CC-BY-SA-3.0/4.0",
    "ardentryst": "CC-BY-SA-3.0",
    "minetest-data": "CC-BY-SA-3.0",
    "etw-data": "GPL-2+",
    "libreoffice-common": "MPL-2.0",
    "7kaa-data": "GPL-2+",
    "flare-game": "CC-BY-SA-3.0+",
    "simutrans-pak64": "Artistic-1.0",
    "searchandrescue-data": "GPL",
    "csoundqt-examples": "LGPL-2.1+",
    "tuxfootball": "GPL-2+",
    "libmysofa1": "MIT KEMAR set: free, cite Gardner & Martin 1994",
}


@dataclass(frozen=True)
class SpeechSource:
    """Files of one package that one talker (or one cast, sex 'mixed') speaks.

    pattern       regular expression, searched in the path below the package's root
    min_snr_db    files below this ratio of loud to quiet 20 ms frames are left out
    """

    speaker: str
    package: str
    pattern: str
    split: str
    language: str
    sex: str
    min_snr_db: float = 24.0

    @property
    def tag(self) -> str:
        """Short name of the package inside clip names; tells a talker's packages apart."""
        return _TAGS[self.package]

    @property
    def name(self) -> str:
        return f"{self.speaker}_{self.tag}"


@dataclass(frozen=True)
class NoiseSource:
    """Files of one package that hold noise for one split.

    kind          noise kind, or '' to tell it from the file name by NOISE_KINDS
    min_seconds   shorter recordings are left out
    """

    split: str
    package: str
    pattern: str
    kind: str = ""
    min_seconds: float = 2.5

    @property
    def name(self) -> str:
        return f"noise_{self.package}_{self.split}"


@dataclass(frozen=True)
class MusicSource(NoiseSource):
    """Files of one package that hold music: never mixed as noise; what a listener wants to hear."""

    @property
    def name(self) -> str:
        return f"music_{self.package}_{self.split}"


_TAGS = {
    "festvox-ru": "fes",
    "asterisk-core-sounds-en-g722": "ast",
    "asterisk-core-sounds-es-g722": "astes",
    "asterisk-core-sounds-fr-g722": "ast",
    "asterisk-core-sounds-ru-g722": "ast",
    "asterisk-core-sounds-it-g722": "ast",
    "fillets-ng-data-cs": "fil",
    "tuxpaint-stamps-default": "tux",
    "klettres-data": "kle",
    "ktuberling-data": "ktu",
}


def _asterisk(language: str, speaker: str, split: str, sex: str, min_snr_db: float = 25.0) -> SpeechSource:
    package = f"asterisk-core-sounds-{language}-g722"
    pattern = r"^(?!.*/silence/).*\.g722$"
    return SpeechSource(speaker, package, pattern, split, language, sex, min_snr_db)


def _klettres(folder: str, speaker: str, split: str, language: str, sex: str) -> SpeechSource:
    return SpeechSource(speaker, "klettres-data", rf"klettres/{folder}/.*\.ogg$", split, language, sex)


def _ktuberling(folder: str, speaker: str, split: str, sex: str) -> SpeechSource:
    pattern = rf"sounds/{folder}/.*\.(ogg|wav|opus)$"
    return SpeechSource(speaker, "ktuberling-data", pattern, split, folder, sex)


def _tuxpaint(language: str, speaker: str, split: str, sex: str, min_snr_db: float = 25.0) -> SpeechSource:
    pattern = rf"_desc_{language}\.ogg$"
    return SpeechSource(speaker, "tuxpaint-stamps-default", pattern, split, language, sex, min_snr_db)


_FILLETS = "fillets-ng-data-cs"

SPEECH = (
    SpeechSource("ru_msu_nsh", "festvox-ru", r"wav/ru_\d+\.wav$", "train", "ru", "m", 25.0),
    _asterisk("en", "en_allison", "train", "f"),
    _asterisk("es", "en_allison", "train", "f"),
    _asterisk("fr", "fr_june", "train", "f"),
    SpeechSource("cs_fillets_m", _FILLETS, r"/cs/[^/]+-m-[^/]+\.ogg$", "train", "cs", "f"),
    SpeechSource("cs_fillets_v", _FILLETS, r"/cs/[^/]+-v-[^/]+\.ogg$", "train", "cs", "m"),
    SpeechSource("cs_fillets_x", _FILLETS, r"/cs/[^/]+-(?!m-|v-)[a-z0-9]+-[^/]+\.ogg$", "train", "cs", "mixed", 26.0),
    _tuxpaint("ro", "ro_tux", "train", "f"),
    _tuxpaint("ru", "ru_tux", "train", "m"),
    _tuxpaint("da", "da_joe", "train", "m", 23.0),
    _klettres("da", "da_joe", "train", "da", "m"),
    _ktuberling("da", "da_joe", "train", "m"),
    _klettres("lt", "lt_klettres", "train", "lt", "m"),
    _ktuberling("lt", "lt_ktub", "train", "m"),
    _klettres("en_GB", "engb_klettres", "train", "en", "f"),
    _klettres("fr", "fr_klettres", "train", "fr", "m"),
    _ktuberling("fr", "fr_ktub", "train", "m"),
    _klettres("he", "he_klettres", "train", "he", "m"),
    _klettres("es", "es_klettres", "train", "es", "f"),
    _klettres("it", "it_klettres", "train", "it", "f"),
    _klettres("ar", "ar_klettres", "train", "ar", "f"),
    _klettres("ru", "ru_klettres", "train", "ru", "f"),
    _klettres("nds", "nds_klettres", "train", "nds", "m"),
    _klettres("pt_BR", "ptbr_klettres", "train", "pt", "f"),
    _klettres("de", "de_klettres", "train", "de", "mixed"),
    _ktuberling("de", "de_ktub", "train", "m"),
    _ktuberling("ca", "ca_ktub", "train", "f"),
    _asterisk("ru", "ru_ivrvoice", "validation", "f"),
    _tuxpaint("be", "be_tux", "validation", "f"),
    _klettres("nl", "nl_klettres", "validation", "nl", "f"),
    _klettres("nb", "nb_klettres", "validation", "nb", "f"),
    _ktuberling("sl", "sl_ktub", "validation", "m"),
    _asterisk("it", "it_carlo", "test", "m", 24.0),
    _klettres("en", "enus_klettres", "test", "en", "m"),
    _klettres("cs", "cs_klettres", "test", "cs", "f"),
    _ktuberling("wa", "wa_ktub", "test", "m"),
)

_LINCITY_VALIDATION = "University|ResidentialMed|IndustryHigh|CoalMine|Shanty|DirtTrack"
_LINCITY_TEST = "TraficLow[23]|MarketMed|MarketFull|MarketLow|School|Recycle|SportsCroud|RailTrain"
_LINCITY_NOT_TRAIN = (  # the other splits, all of their series, and jingles that are no noise
    "Rocket|Tip|Window|Substation|PowerSolar|TraficLow|Market|School|Recycle|SportsCroud|RailTrain"
    f"|{_LINCITY_VALIDATION}"
)
_MEGAGLEST_SETS = "birch_forest|dark_forest|desert2|fernland|mediterran|spring|autumn|evergreen|winter|rain_forest"
_SCORCHED = (
    r"wav/misc/(birds1|rain|citysounds|oceanwaves|cessna|cheeringloop|factoryloop1|helicopter|frogs|t38|splash"
    r"|bees)\.wav$|napalm\.wav|bees\.wav"
)
_SEARCH_AND_RESCUE = (
    "engine_inside|engine_outside|jet_engine_inside2|helicopter_engine_outside[23]?|hh65/engine_start|jet_engine_start2"
)
_FLARE = "rain|wind_loop|cave_wind_loop|river_loop|bird_twitter_loop|open_fire|cave_droplets_loop"
_SIMUTRANS = "bus|truck|buzzsaw|steam|crossing|tree-cutting|seagulls|Water|planelow|forest|tropic"
_MINETEST = r"fire_large|fire_small|fire_fire\.1|env_sounds_water\.\d|default_furnace_active"

NOISE = (
    NoiseSource("train", "megaglest-data", rf"/({_MEGAGLEST_SETS})/sounds/[^/]+\.(ogg|wav)$", min_seconds=5.0),
    NoiseSource(
        "train",
        "btanks-data",
        r"sounds/ambient/(city|country|forest|swamp)\.ogg$|sounds/(train|helicopter|fire)\.ogg$",
        min_seconds=3.0,
    ),
    NoiseSource("validation", "lincity-ng-data", rf"sounds/({_LINCITY_VALIDATION})\d?\.wav$"),
    NoiseSource("test", "lincity-ng-data", rf"sounds/({_LINCITY_TEST})\d?\.wav$"),
    NoiseSource("train", "lincity-ng-data", rf"sounds/(?!{_LINCITY_NOT_TRAIN})[A-Za-z]+\d?\.wav$"),
    NoiseSource("train", "scorched3d-data", _SCORCHED),
    NoiseSource("train", "lugaru-data", r"Sounds/(Wind|DesertAmbient|Fire)\.ogg$"),
    NoiseSource(
        "train",
        "tuxpaint-stamps-default",
        r"stamps/(?!.*_desc)(?!.*final-roll)(?!.*alphabet)(?!.*symbols).*\.(ogg|wav)$",
        kind="event",
        min_seconds=1.0,
    ),
    NoiseSource("validation", "ardentryst", r"Sounds/(Rain_Loop|fire_loop)\.ogg$"),
    NoiseSource("validation", "minetest-data", rf"({_MINETEST})\.ogg$"),
    NoiseSource("validation", "etw-data", r"crowd/crowd\d+\.wav$", kind="crowd"),
    NoiseSource("validation", "libreoffice-common", r"gallery/sounds/(applause|nature1|train)\.wav$"),
    NoiseSource("validation", "7kaa-data", r"SOUND/(WIND|RAIN)\.WAV$"),
    NoiseSource("test", "flare-game", rf"environment/({_FLARE})\.ogg$"),
    NoiseSource("test", "simutrans-pak64", rf"sound/({_SIMUTRANS})\.wav$"),
    NoiseSource("test", "searchandrescue-data", rf"sounds/.*({_SEARCH_AND_RESCUE})\.wav$", kind="engine"),
    NoiseSource("test", "csoundqt-examples", r"Seashore\.wav$", kind="water"),
    NoiseSource("test", "tuxfootball", r"sound/(crowdcheer|crowdboo)\.(wav|ogg)$", kind="crowd"),
)

MUSIC = (
    MusicSource("train", "megaglest-data", r"/music/[^/]+\.ogg$", "music", 20.0),
    MusicSource("train", "btanks-data", r"tunes/[^/]+\.ogg$", "music", 20.0),
    MusicSource("train", "lugaru-data", r"Sounds/Music[^/]+\.ogg$", "music", 20.0),
    MusicSource("train", "scorched3d-data", r"data/music/[^/]+\.ogg$", "music", 20.0),
    MusicSource("test", "flare-game", r"fantasycore/music/(?!wind_ambient)[^/]+\.ogg$", "music", 20.0),
    MusicSource("test", "tuxfootball", r"sound/titlemusic\.ogg$", "music", 20.0),
)

# the first pattern found in the lower-case file name decides
NOISE_KINDS = (
    (r"railtrain|train\.", "train"),
    (r"rain|storm", "rain"),
    (r"wind", "wind"),
    (r"water|river|creek|ocean|lake|splash|sea|harbor|env_sounds|droplet", "water"),
    (r"fire|furnace|napalm|power_?coal", "fire"),
    (r"car|trafic|bus|truck|distant|citysounds|/city|crossing|road", "traffic"),
    (r"train|rail", "train"),
    (r"engine|helicopter|cessna|f16|t38|plane|generator", "engine"),
    (
        r"market|crowd|croud|school|university|main_square|tavern|cheer|applause|party|residential|commune|sport",
        "people",
    ),
    (
        r"industry|factory|machine|mill|mine|blacksmith|recycle|construct|saw|steam|monument|warehouse|3d_printer"
        r"|oremine",
        "machine",
    ),
    (
        r"day|night|forest|birds|frogs|country|swamp|cricket|cycad|tropic|seagull|nature|farm|green|bees|park",
        "nature",
    ),
)


def packages(small: bool = False) -> tuple[str, ...]:
    """Names of all packages in the order of the tables, without LARGE_PACKAGES if `small`."""
    return tuple(name for name in LICENCES if not (small and name in LARGE_PACKAGES))
